"""What `dayshift explain` makes of a task, its effects, and what is left of its stream."""

import json
from typing import Any

from dayshift.cli.explanation import Event, explanation_of
from tests.cli.conftest import Cli, Stub, task

STEP, INNER, ASK = "aa" * 16, "bb" * 16, "cc" * 16


def effect(number: int, attempt: int, **changes: Any) -> dict[str, Any]:
    """An effect as a gateway shows it, begun in its second of the minute, and done in half a second."""
    return {
        "id": f"effect_{number}",
        "kind": "step",
        "name": f"s{number}",
        "occurrence": 0,
        "status": "done",
        "attempt": attempt,
        "started_at": f"2026-11-22T18:45:{number:02}Z",
        "finished_at": f"2026-11-22T18:45:{number:02}.5Z",
        "usage": None,
        "cost_usd": 0.0,
        "replayed": False,
        "replayed_by": None,
        "key": f"{number:02}" * 16,
        "scope": "",
        "differs": None,
        **changes,
    }


def fates(shown: dict[str, Any], effects: list[dict[str, Any]]) -> list[str]:
    return [row.fate for row in explanation_of(shown, effects, []).effects]


def listed(*effects: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": list(effects), "has_more": has_more}


def test_what_was_replayed_left_and_done_is_told_apart():
    effects = [
        effect(1, 1, replayed_by=2, key=STEP),
        effect(2, 1, scope=f"/{STEP}"),
        effect(3, 1, scope=f"/{STEP}/branch 1/{INNER}"),
        effect(4, 1, scope=f"/{INNER}"),
        effect(5, 2),
    ]
    succeeded = task(status="succeeded", attempt=2)
    assert fates(succeeded, effects) == ["replayed", "within", "within", "left", "performed"]


def test_of_an_attempt_that_runs_or_died_nothing_is_made_up():
    effects = [effect(1, 1, replayed_by=2), effect(2, 1)]
    assert fates(task(status="running", attempt=3), effects) == ["recorded", "recorded"]
    assert fates(task(status="queued", attempt=2), effects) == ["replayed", "left"]
    assert explanation_of(task(status="running", attempt=3), effects, []).attempts[-1].replayed is None


def test_a_difference_counts_unless_its_effect_was_asked_for_after_all():
    other = effect(2, 2, differs={"effect": "effect_1", "part": "argument 1"})
    told = {
        replayed_by: len(
            explanation_of(task(attempt=2), [effect(1, 1, replayed_by=replayed_by), other], []).divergences
        )
        for replayed_by in (None, 1, 2, 3)
    }
    assert told == {None: 1, 1: 1, 2: 0, 3: 0}


def test_the_line_names_what_differs():
    def line(part: str | None) -> str:
        effects = [effect(1, 1), effect(2, 2, kind="llm", name="chat m", differs={"effect": "effect_1", "part": part})]
        [divergence] = explanation_of(task(attempt=2), effects, []).divergences
        return divergence.line

    assert line("messages[0]") == (
        "llm chat m of attempt 2 was not found: its messages[0] differs from what attempt 1 had recorded"
    )
    assert line("name").endswith("its name differs from what attempt 1 had recorded, step s1")
    assert line("place").endswith("it is done in another step or branch than what attempt 1 had recorded")
    assert line(None).endswith("what attempt 1 had recorded is the same, and was done less often")


def test_attempts_are_told_as_far_as_the_stream_is_kept():
    events = [
        Event("task.started", {"attempt": 1, "worker": "w1", "version": "v1", "at": "2026-11-22T18:45:00Z"}),
        Event("task.retrying", {"attempt": 1, "error": {"code": "agent_error", "message": "KeyError: 7"}}),
        Event("task.started", {"attempt": 2, "worker": "w2", "version": "v1", "at": "2026-11-22T18:45:05Z"}),
        Event("task.started", {"attempt": 3, "worker": "w2", "version": "v2", "at": "2026-11-22T18:45:09Z"}),
        Event("task.succeeded", {"attempt": 3, "task": {}}),
    ]
    shown = task(status="succeeded", attempt=3)
    ends = [story.ended for story in explanation_of(shown, [], events).attempts]
    assert ends == [
        "failed, and was to be tried again: agent_error: KeyError: 7",
        "no word of its end: its worker was lost, or gave it back",
        "succeeded",
    ]
    assert [story.ended for story in explanation_of(shown, [], []).attempts] == [None] * 3


STREAM = b"""id: 1
event: task.started
data: {"attempt": 1, "worker": "w1", "version": "v1", "at": "2026-11-22T18:45:00Z"}

: heartbeat

id: 2
event: task.failed
data: {"attempt": 1, "task": {"error": {"code": "fatal", "message": "no such order"}}}

"""


def test_the_waterfall_shows_pages_of_effects_and_their_cost(cli: Cli, gateway: Stub):
    usage = {"input_tokens": 7, "output_tokens": 3, "llm_calls": 1, "cost_usd": 0.25}
    first = effect(1, 1, kind="llm", name="chat m", usage=usage, cost_usd=0.25)
    inner = effect(2, 1, scope=f"/{STEP}", status="failed")
    failed = task(
        status="failed", attempt=1, failures=1, usage=usage, error={"code": "fatal", "message": "no such order"}
    )
    gateway.answers = [(200, failed), (200, listed(first, has_more=True)), (200, listed(inner)), (200, STREAM)]
    done = cli("explain", failed["id"])
    assert (done.status, done.err) == (0, "")
    paths = [request["path"].removeprefix(f"/v1/tasks/{failed['id']}") for request in gateway.requests]
    assert paths == ["", "/effects?limit=100", "/effects?limit=100&after=effect_1", "/events"]
    assert "1 attempt, 1 failure, 0 losses" in done.out
    assert (
        "attempt 1: 2 effects, 7 + 3 tokens, $0.2500\n  version v1 on w1\n  failed: fatal: no such order\n" in done.out
    )
    rows = [line.split() for line in done.out.splitlines() if " step " in line or " llm " in line]
    assert rows[0] == ["1.00", "s", "0.50", "s", *rows[0][4:5], "llm", "chat", "m", "7", "+", "3", "$0.2500"]
    assert rows[1][-3:] == ["step", "s2", "failed"]


def test_a_child_is_named_by_its_task(cli: Cli, gateway: Stub):
    child = effect(1, 1, kind="child", name="translator")
    gateway.answers = [(200, task(attempt=1)), (200, listed(child)), (200, b"")]
    assert "child translator task_1" in cli("explain", task()["id"]).out


def test_without_a_stream_and_without_effects_there_is_still_the_task(cli: Cli, gateway: Stub):
    gateway.answers = [(200, task()), (200, listed()), (503, {"detail": "Valkey is away", "code": "plane_away"})]
    done = cli("explain", task()["id"])
    assert (done.status, done.err) == (0, "")
    assert "no effects are recorded" in done.out


def test_as_json_it_is_all_there(cli: Cli, gateway: Stub):
    older, newer = effect(1, 1), effect(2, 2, differs={"effect": "effect_1", "part": "name"})
    gateway.answers = [(200, task(status="succeeded", attempt=2)), (200, listed(older, newer)), (200, b"")]
    told = json.loads(cli("explain", task()["id"], "--json").out)
    assert [row["fate"] for row in told["effects"]] == ["left", "performed"]
    assert [one["part"] for one in told["divergences"]] == ["name"]
    assert [story["performed"] for story in told["attempts"]] == [1, 1]


def test_a_task_that_is_not_there_is_status_1(cli: Cli, gateway: Stub):
    gateway.answers = [(404, {"detail": "There is no task.", "code": "not_found"})]
    assert cli("explain", "task_nope").status == 1


def test_a_preview_stands_below_its_effect_cut_to_the_width(cli: Cli, gateway: Stub):
    gateway.answers = [
        (200, task(attempt=1)),
        (200, listed(effect(1, 1, preview='{"order":7}'), effect(2, 1, preview="x" * 2_000), effect(3, 1))),
        (200, b""),
    ]
    lines = cli("explain", task()["id"]).out.splitlines()
    at = next(number for number, line in enumerate(lines) if "step s1" in line)
    assert lines[at + 1].strip() == '{"order":7}'
    assert "step s2" in lines[at + 2]
    assert lines[at + 3].strip().startswith("xxx")
    assert max(map(len, lines)) <= 240
    assert "step s3" in lines[at + 4]
