"""The peers' adapters are whole, and the report can be made of what was recorded, without any peer's packages."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.peers import plan, report, witness
from benchmarks.peers.ask import peer_class
from benchmarks.peers.peer import Ask, Peer, Place
from benchmarks.peers.questions import QUESTIONS

PEERS = Path(report.HERE)


@pytest.mark.parametrize("name", plan.PEERS)
def test_a_peer_is_whole(name: str) -> None:
    peer = peer_class(name)
    place = Place(Path("/nowhere"), "postgresql://", "redis://", "http://127.0.0.1")

    assert not inspect.isabstract(peer)
    assert peer(place, Ask("drain")).name == name
    assert set(peer.settings) == set(QUESTIONS) - {"kill"}
    assert "default" in peer.recovery
    assert set(peer.engines) <= {"postgresql", "valkey"}
    assert (PEERS / name / "app.py").exists()
    assert (PEERS / name / "README.md").exists()


@pytest.mark.parametrize("name", [name for name in plan.PEERS if name != "dayshift"])
def test_a_peer_names_exact_versions(name: str) -> None:
    lines = (PEERS / name / "requirements.txt").read_text().split()

    assert any(line.startswith(name) and "==" in line for line in lines)
    assert "openai==3.54.0" in lines


def test_all_peers_are_asked_the_same() -> None:
    asked = {name: [(label, ask) for label, ask in plan.asks(name) if ask.question != "drain"] for name in plan.PEERS}

    shared = [(label, ask) for label, ask in asked["dayshift"] if ask.variant == "best" and ask.question != "kill"]
    for name in plan.PEERS:
        assert [(label, ask) for label, ask in asked[name] if ask.question != "kill"] == shared
        assert "kill, default" in dict(asked[name])


def test_what_was_recorded_renders() -> None:
    recorded = report.load()

    text = report.render(recorded)

    for name, entry in recorded.items():
        assert f"| {name} |" in text
        for variant in entry["recovery"]:
            assert f"| {name}, {variant} |" in text
    assert report.PAGE.read_text().split(report.BEGIN)[1].split(report.END)[0].strip() == text.strip()


def test_a_peer_that_does_not_come_back_is_said_to() -> None:
    kill = {"seconds": 60.03, "unfinished": 100, "calls_made_again": 0, "calls_answered_again": 0}
    runs = {"median": kill, "runs": [{"load_before": 0.5}], "errors": ["RuntimeError: lost"]}
    entry = {"answers": {"kill, default": runs | {"measured_at": "2026-01-02", "cores": 2, "python": "3.11.7"}}}
    entry |= {"recovery": {"default": "early"}, "settings": {"drain": "fast"}, "remembers": "nothing"}

    text = report.render({"forgetful": entry})

    assert "| forgetful, default | early | not in 60: 100 left | 0 | 0 |" in text
    assert "forgetful, kill, default: RuntimeError: lost" in text
    assert "| forgetful | - | - | - |" in text


def test_a_witness_outlives_a_killed_process(tmp_path: Path) -> None:
    code = (
        "from benchmarks.peers import witness; import os; [witness.enter() for _ in range(3)]; os.kill(os.getpid(), 9)"
    )
    environment = os.environ | {"WITNESS": str(tmp_path), "PYTHONPATH": str(report.ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    process.wait(30)

    (seen,) = witness.read(tmp_path)

    assert (seen.pid, seen.entered) == (process.pid, 3)


def test_a_question_travels_as_json() -> None:
    ask = Ask("kill", tasks=100, calls=5, variant="default")

    assert Ask(**json.loads(json.dumps(vars(ask)))) == ask


def test_the_interface_is_what_adapters_write_about() -> None:
    assert Peer.__abstractmethods__ == {"open", "worker", "submit", "call", "unfinished", "close"}
