"""`dayshift schedules`: what it asks of a gateway, and what it prints."""

from datetime import datetime
from typing import Any

import pytest

from tests.cli.conftest import Cli, Stub, task

ID = "sched_01a20493-7a57-7da3-877b-d0d40f8cd12b"
WHERE = "/v1/schedules"


def schedule(**changes: Any) -> dict[str, Any]:
    """A schedule as a gateway shows it."""
    return {
        "id": ID,
        "name": "ticks",
        "status": "active",
        "cron": None,
        "time_zone": None,
        "every": 60,
        "start_at": "2026-11-22T18:46:05Z",
        "at": None,
        "catch_up": "one",
        "task": {"agent": "echo", "input": {"text": "hi"}, "user": None, "priority": 5, "metadata": {"a": 1}},
        "next_at": "2026-11-22T18:46:05Z",
        "last_due_at": None,
        "last_task": None,
        "last_error": None,
        "skipped": None,
        "created_at": "2026-11-22T18:45:05.781481Z",
        "updated_at": "2026-11-22T18:45:05.781481Z",
        **changes,
    }


def test_one_is_made_of_what_is_said(cli: Cli, gateway: Stub):
    gateway.answers = [(201, schedule())]
    cron = ("--cron", "30 7 * * MON-FRI", "--time-zone", "Europe/Berlin", "--catch-up", "all")
    of_task = ("--priority", "9", "--metadata", '{"a": 1}', "--conversation", "one by one")
    done = cli("schedules", "create", "morning report", "report", '{"topic": "sales"}', *cron, *of_task)
    assert (done.status, done.out, done.err) == (0, ID + "\n", "")
    (request,) = gateway.requests
    assert (request["method"], request["path"]) == ("POST", WHERE)
    assert request["body"] == {
        "name": "morning report",
        "cron": "30 7 * * MON-FRI",
        "time_zone": "Europe/Berlin",
        "catch_up": "all",
        "task": {
            "agent": "report",
            "input": {"topic": "sales"},
            "priority": 9,
            "metadata": {"a": 1},
            "conversation": "one by one",
        },
    }


def test_an_input_may_be_left_out_and_a_moment_without_a_zone_is_this_machines(cli: Cli, gateway: Stub):
    gateway.answers = [(201, schedule())]
    assert cli("schedules", "create", "ticks", "tick", "--every", "5", "--json").json == schedule()
    assert gateway.requests[-1]["body"] == {"name": "ticks", "every": 5, "task": {"agent": "tick", "input": {}}}
    cli("schedules", "create", "once", "tick", "--at", "2027-01-31T12:00:00")
    here = datetime.fromisoformat("2027-01-31T12:00:00").astimezone()
    assert datetime.fromisoformat(gateway.requests[-1]["body"]["at"]) == here
    cli("schedules", "create", "later", "tick", "--every", "5", "--start-at", "2027-01-31T12:00:00+02:00")
    assert gateway.requests[-1]["body"]["start_at"] == "2027-01-31T12:00:00+02:00"


def test_what_is_given_is_changed_and_the_rest_of_the_task_stays(cli: Cli, gateway: Stub):
    gateway.answers = [(200, schedule(every=5))]
    done = cli("schedules", "edit", ID, "--every", "5", "--name", "faster")
    assert (done.status, done.out) == (0, f"{ID} active\n")
    (request,) = gateway.requests
    assert (request["method"], request["path"]) == ("PATCH", f"{WHERE}/{ID}")
    assert request["body"] == {"name": "faster", "every": 5}
    assert cli("schedules", "edit", ID, "--input", "-5", "--priority", "0", "--json").json["every"] == 5
    assert [request["method"] for request in gateway.requests[1:]] == ["GET", "PATCH"]
    assert gateway.requests[-1]["body"] == {"task": {**schedule()["task"], "input": -5, "priority": 0}}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("edit", ID), "Say what to change"),
        (("pause",), "Name one schedule or more"),
        (("resume",), "dayshift schedules ls"),
        (("delete",), "Name one schedule or more"),
        (("create", "ticks", "tick", "--catch-up", "some"), "--catch-up"),
        (("create", "ticks", "tick", "hello"), "a text needs its own quotes"),
        (("create", "ticks", "tick", "--metadata", "{"), "--metadata is not JSON"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_sent(cli: Cli, gateway: Stub, arguments: tuple[str, ...], told: str):
    done = cli("schedules", *arguments)
    assert (done.status, done.out, gateway.requests) == (2, "", [])
    assert told in done.err
    assert done.err.count("\n") == 1


def test_they_are_listed_for_people_and_for_programs(cli: Cli, gateway: Stub):
    refused = {"code": "unknown_agent", "message": "no agent is named 'later'", "at": schedule()["created_at"]}
    rows = [
        schedule(),
        schedule(cron="0 9 * * *", time_zone="Europe/Berlin", every=None, last_error=refused),
        schedule(
            at="2027-01-31T12:00:00Z", every=None, status="ended", next_at=None, last_due_at="2027-01-31T12:00:00Z"
        ),
    ]
    gateway.answers = [(200, {"object": "list", "data": rows, "has_more": False})]
    done = cli("schedules", "ls", "--limit", "3")
    assert (done.status, gateway.requests[0]["path"]) == (0, f"{WHERE}?limit=3")
    every, by_cron, once = (line for line in done.out.splitlines() if ID in line)
    assert "every 60 s" in every
    assert "0 9 * * * (Europe/Berlin)" in by_cron
    assert "unknown_agent: no agent is named 'later'" in by_cron
    assert " once " in once
    assert " ended " in once
    assert cli("schedules", "ls", "--json").json["data"] == rows
    gateway.answers = [(200, {"object": "list", "data": [], "has_more": False})]
    assert cli("schedules", "ls").err == "no schedules; make one with `dayshift schedules create`\n"


def test_one_is_shown(cli: Cli, gateway: Stub):
    gateway.answers = [(200, schedule())]
    shown = cli("schedules", "show", "a/b").out
    assert gateway.requests[0]["path"] == f"{WHERE}/a%2Fb"
    assert "next_at     2026-11-22T18:46:05Z" in shown
    assert "last_error" not in shown
    assert cli("schedules", "show", ID, "--json").json == schedule()


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_they_are_acted_on_one_by_one(cli: Cli, gateway: Stub, command: str):
    gateway.answers = [(200, schedule(status="paused"))]
    assert cli("schedules", command, "sched_1", "sched_2").out == f"{ID} paused\n" * 2
    assert [request["path"] for request in gateway.requests] == [f"{WHERE}/sched_{n}/{command}" for n in (1, 2)]
    assert len(cli("schedules", command, "sched_1", "--json").json) == 1


def test_triggering_prints_the_task_and_is_safe_to_repeat(cli: Cli, gateway: Stub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    gateway.answers = [(503, {"title": "No", "detail": "PostgreSQL does not answer"}), (202, task())]
    assert cli("schedules", "trigger", ID).out == f"{task()['id']}\n"
    first, second = gateway.requests
    assert (first["method"], first["path"]) == ("POST", f"{WHERE}/{ID}/trigger")
    assert first["headers"]["idempotency-key"] == second["headers"]["idempotency-key"]


def test_they_are_deleted(cli: Cli, gateway: Stub):
    gateway.answers = [(204, None)]
    assert cli("schedules", "delete", "sched_1", "sched_2").out == "sched_1 deleted\nsched_2 deleted\n"
    assert [(one["method"], one["path"]) for one in gateway.requests] == [
        ("DELETE", f"{WHERE}/sched_{number}") for number in (1, 2)
    ]
