"""Commands that speak to a gateway: what they send, what they print, and what they make of a refusal."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Stub, task

ID = task()["id"]


def problem(detail: str, code: str, **more: Any) -> dict[str, Any]:
    return {"type": "about:blank", "title": "No", "detail": detail, "code": code, **more}


def test_submit_sends_the_input_and_prints_the_id_alone(cli: Cli, gateway: Stub, monkeypatch: pytest.MonkeyPatch):
    gateway.answers = [(202, task())]
    monkeypatch.setenv("DAYSHIFT_API_KEY", "dsk_abc")
    done = cli("submit", "echo", '{"text": "hi"}', "--priority", "9", "--user", "u1", "--delay", "1.5")
    assert (done.status, done.out, done.err) == (0, ID + "\n", "")
    (request,) = gateway.requests
    assert (request["method"], request["path"]) == ("POST", "/v1/tasks")
    assert request["body"] == {"agent": "echo", "input": {"text": "hi"}, "priority": 9, "user": "u1", "delay": 1.5}
    assert request["headers"]["authorization"] == "Bearer dsk_abc"
    assert request["headers"]["idempotency-key"].startswith('"cli_')


def test_input_comes_from_an_argument_a_file_or_stdin(
    cli: Cli, gateway: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    gateway.answers = [(202, task())]
    (tmp_path / "in.json").write_text('"from a file"')
    monkeypatch.setattr("sys.stdin.read", lambda: '"from stdin"')
    for text in ("null", "-5", "@in.json", "-"):
        assert cli("submit", "echo", text).status == 0
    assert [request["body"]["input"] for request in gateway.requests] == [None, -5, "from a file", "from stdin"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hello", """a text needs its own quotes: '"hello"'"""),
        ('{"a": }', "INPUT is not JSON"),
        ("NaN", "INPUT is not JSON"),
        ("@missing.json", "missing.json cannot be read (No such file or directory)"),
        ("@.", "cannot be read"),
    ],
)
def test_input_that_is_no_json_is_refused_before_anything_is_sent(cli: Cli, gateway: Stub, text: str, told: str):
    done = cli("submit", "echo", text)
    assert (done.status, done.out) == (2, "")
    assert told in done.err
    assert gateway.requests == []


def test_wait_polls_until_the_end_and_prints_the_output(cli: Cli, gateway: Stub):
    gateway.answers = [
        (202, task()),
        (200, task(status="running")),
        (200, task(status="succeeded", output={"reply": "hi"})),
    ]
    done = cli("submit", "echo", '"hi"', "--wait")
    assert (done.status, json.loads(done.out), done.err) == (0, {"reply": "hi"}, ID + "\n")
    assert [request["path"] for request in gateway.requests[1:]] == [f"/v1/tasks/{ID}?wait=20"] * 2


def test_a_task_that_failed_is_status_1_and_says_why(cli: Cli, gateway: Stub):
    gateway.answers = [(202, task(status="failed", error={"code": "fatal", "message": "no such order"}))]
    done = cli("submit", "echo", '"hi"', "--wait")
    assert (done.status, done.out) == (1, "")
    assert f"{ID} failed: no such order" in done.err
    done = cli("submit", "echo", '"hi"', "--wait", "--json")
    assert (done.status, done.json["error"]["code"], done.err) == (1, "fatal", "")


def test_an_unanswered_submit_is_repeated_with_the_same_key(cli: Cli, gateway: Stub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    gateway.answers = [(503, problem("PostgreSQL does not answer", "ledger_away", retry_after=1)), (202, task())]
    assert cli("submit", "echo", '"hi"').status == 0
    first, second = gateway.requests
    assert first["headers"]["idempotency-key"] == second["headers"]["idempotency-key"]


@pytest.mark.parametrize(
    ("status", "answer", "exit_status", "told"),
    [
        (401, problem("unknown key", "bad_key"), 1, "set DAYSHIFT_API_KEY to a key that `dayshift keys create"),
        (403, problem("this needs a key with the scope 'submit'", "scope_missing"), 1, "scope 'submit'"),
        (404, problem("there is no task 'x'", "not_found"), 1, "there is no task 'x'"),
        (409, problem("not failed but running", "not_failed"), 1, "not failed but running"),
        (429, problem("the queue is full", "queue_full", retry_after=7), 1, "the queue is full; try again in 7 s"),
        (500, problem("broken inside", "internal_error"), 1, "broken inside"),
        (502, b"<html>a proxy</html>", 1, "answers 502"),
        (200, b"<html>something else</html>", 1, "is no dayshift gateway"),
        (
            422,
            problem("input", "invalid_input", errors=[{"path": "a", "message": "x"}, {"path": "b", "message": "y"}]),
            2,
            "a: x; b: y",
        ),
    ],
)
def test_a_refusal_is_one_line(
    cli: Cli,
    gateway: Stub,
    monkeypatch: pytest.MonkeyPatch,
    *,
    status: int,
    answer: Any,
    exit_status: int,
    told: str,
):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    gateway.answers = [(status, answer)]
    done = cli("tasks", "show", "x")
    assert (done.status, done.out) == (exit_status, "")
    assert told in done.err
    assert done.err.count("\n") == 1


def test_nobody_at_the_address_says_how_to_start(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    monkeypatch.setenv("DAYSHIFT_PORT", "1")
    done = cli("tasks", "ls")
    assert done.status == 1
    assert "No gateway answers at http://127.0.0.1:1" in done.err
    assert "dayshift run FILE" in done.err
    assert cli("tasks", "ls", "--url", "nonsense").status in {1, 2}


def test_tasks_are_listed_for_people_and_for_programs(cli: Cli, gateway: Stub):
    failed = task(
        status="failed", error={"code": "timeout", "message": "took too long"}, finished_at=task()["created_at"]
    )
    gateway.answers = [(200, {"object": "list", "data": [task(), failed], "has_more": False})]
    done = cli("tasks", "ls", "--status", "failed", "--agent", "echo", "--limit", "2")
    assert gateway.requests[0]["path"] == "/v1/tasks?status=failed&agent=echo&limit=2"
    assert done.status == 0
    assert ID in done.out
    assert "timeout: took too long" in done.out
    assert cli("tasks", "ls", "--json").json["data"][1]["error"]["code"] == "timeout"
    gateway.answers = [(200, {"object": "list", "data": [], "has_more": False})]
    assert cli("tasks", "ls").err == "no such tasks\n"


def test_a_task_is_shown(cli: Cli, gateway: Stub):
    gateway.answers = [(200, task())]
    assert 'input       {"text":"hi"}' in cli("tasks", "show", ID).out
    assert cli("tasks", "show", ID, "--json").json == task()


@pytest.mark.parametrize(("command", "action"), [("cancel", "cancel"), ("retry", "retry")])
def test_tasks_are_acted_on_one_by_one(cli: Cli, gateway: Stub, command: str, action: str):
    gateway.answers = [(202, task(status="cancelled"))]
    done = cli("tasks", command, "task_1", "task_2")
    assert done.out == f"{ID} cancelled\n" * 2
    assert [request["path"] for request in gateway.requests] == [f"/v1/tasks/task_{n}/{action}" for n in (1, 2)]
    assert len(cli("tasks", command, "a/b", "--json").json) == 1
    assert gateway.requests[-1]["path"] == f"/v1/tasks/a%2Fb/{action}"


def test_tasks_are_erased(cli: Cli, gateway: Stub):
    gateway.answers = [(204, None)]
    assert cli("tasks", "erase", "task_1").out == "task_1 erased\n"
    assert (gateway.requests[0]["method"], gateway.requests[0]["path"]) == ("DELETE", "/v1/tasks/task_1")


def test_all_dead_letters_are_found_page_by_page(cli: Cli, gateway: Stub):
    gateway.answers = [
        (200, {"object": "list", "data": [{"id": "task_1"}, {"id": "task_2"}], "has_more": True}),
        (200, {"object": "list", "data": [{"id": "task_3"}], "has_more": False}),
        (202, task()),
    ]
    assert cli("dead", "replay", "--all").status == 0
    assert [request["path"] for request in gateway.requests] == [
        "/v1/dead?limit=100",
        "/v1/dead?limit=100&after=task_2",
        *(f"/v1/tasks/task_{n}/retry" for n in (1, 2, 3)),
    ]
    gateway.answers = [(200, {"object": "list", "data": [], "has_more": False})]
    assert cli("dead", "drop", "--all").status == 0
    assert cli("dead", "ls").err == "no dead letters\n"
