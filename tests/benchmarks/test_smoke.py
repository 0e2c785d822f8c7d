"""The benchmarks can be asked, and what they answer can be read. How fast it is, is not looked at here."""

import json
import subprocess
import sys

import pytest
from benchmarks.harness.serving import ROOT

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.system
def test_quick_questions_leave_reports_pictures_and_a_summary(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "drain", "latency", "--quick", "--results", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stderr
    for name in ("drain", "latency"):
        report = json.loads((tmp_path / f"{name}.json").read_text())
        assert report["named"]["quick"]
        assert all(line["median"] > 0 and line["ratio"] > 0 for line in report["lines"] if line.get("floor"))
        assert any(line.get("floor") for line in report["lines"]), "a question has a floor"
        assert all(len(case["runs"]) == 1 for case in report["cases"].values())
        assert (tmp_path / f"{name}.png").read_bytes().startswith(PNG)
        assert f"**{name}**" in (tmp_path / "summary.md").read_text()


def test_an_unknown_question_is_refused_with_the_known_ones():
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "many_agents" in ran.stderr
