"""A gateway and a worker whose clocks are ten minutes wrong, in opposite directions.

Durable times are PostgreSQL's, so nobody outside may notice: what is delayed runs when it is due, what expires ends when
it should, and no figure that is shown is ten minutes off.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.faults.clock import clock_off_by
from tests.faults.fleet import Fleet
from tests.faults.valkey import Valkey

pytestmark = pytest.mark.system

OFF_SECONDS = 600
TOLERANCE_SECONDS = 3.0  # of a busy machine; far from ten minutes


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def moment(task: dict[str, Any], field: str) -> datetime:
    return datetime.fromisoformat(task[field])


def seconds_between(task: dict[str, Any], first: str, then: str) -> float:
    return (moment(task, then) - moment(task, first)).total_seconds()


@pytest.mark.parametrize("gateway_minutes", [10, -10])
async def test_nobody_notices_clocks_that_are_minutes_off(
    database_url: str, tmp_path: Path, gateway_minutes: int
) -> None:
    valkey = Valkey(tmp_path / "plane")
    await valkey.start()
    fleet = Fleet(tmp_path, database_url, valkey.url)
    off = gateway_minutes * 60.0
    try:
        await fleet.open(
            gateway=clock_off_by(off, tmp_path / "gateway-clock", fleet.environment),
            worker=clock_off_by(-off, tmp_path / "worker-clock", fleet.environment),
        )
        await asyncio.gather(
            what_is_delayed_runs_when_it_is_due(fleet),
            what_expires_ends_when_it_should(fleet),
            retries_come_when_they_are_due(fleet),
            conversations_keep_their_order(fleet),
            streams_resume_by_number(fleet),
        )
        await keys_open_doors_until_they_expire(fleet)
    finally:
        await fleet.close()
        await valkey.close()


async def what_is_delayed_runs_when_it_is_due(fleet: Fleet) -> None:
    delayed = await fleet.submit("echo", "delay", delay=2)
    due = await fleet.submit("echo", "run_at", run_at=soon(2))
    for task in await fleet.all_ended([delayed["id"], due["id"]]):
        assert task["status"] == "succeeded"
        assert 0 <= seconds_between(task, "run_at", "started_at") < TOLERANCE_SECONDS
        assert 1.5 < seconds_between(task, "created_at", "finished_at") < 2 + TOLERANCE_SECONDS
        assert task["timing"]["queued"] < TOLERANCE_SECONDS
        assert task["timing"]["total"] < 2 + TOLERANCE_SECONDS
        assert abs((moment(task, "created_at") - datetime.now(UTC)).total_seconds()) < 30


async def what_expires_ends_when_it_should(fleet: Fleet) -> None:
    lasts = await fleet.submit("slow", {"seconds": 0.5}, expires_at=soon(120))
    expires = await fleet.submit("slow", {"seconds": 60}, expires_at=soon(3))
    waits = await fleet.submit("slow", {"seconds": 60}, delay=1, expires_at=soon(3))
    refused = await fleet.http.post(
        "/v1/tasks", json={"agent": "slow", "input": {"seconds": 1}, "expires_at": soon(-60)}
    )
    assert refused.status_code == 422
    ended = await fleet.ended(lasts["id"])
    assert (ended["status"], ended["attempt"]) == ("succeeded", 1)
    for task in await fleet.all_ended([expires["id"], waits["id"]]):
        assert (task["status"], task["error"]["code"], task["attempt"]) == ("failed", "expired", 1)
        assert 2 < seconds_between(task, "created_at", "finished_at") < 3 + TOLERANCE_SECONDS


async def retries_come_when_they_are_due(fleet: Fleet) -> None:
    task = await fleet.submit("fails_twice", {})
    ended = await fleet.ended(task["id"])
    assert (ended["status"], ended["attempt"], ended["failures"]) == ("succeeded", 3, 2)
    assert (
        seconds_between(ended, "created_at", "finished_at") < 6 + TOLERANCE_SECONDS
    )  # of backoff: 2 s and 4 s at most


async def conversations_keep_their_order(fleet: Fleet) -> None:
    ids = [(await fleet.submit("says_its_turn", {"turn": turn}, conversation="talk"))["id"] for turn in range(4)]
    ended = await fleet.all_ended(ids)
    assert [task["status"] for task in ended] == ["succeeded"] * 4
    spoken = [line[1:] for line in fleet.witnessed() if line[0] == "talk"]
    assert spoken == [[word, str(turn)] for turn in range(4) for word in ("begin", "end")]


async def streams_resume_by_number(fleet: Fleet) -> None:
    """A reader that left after the first event gets the others, once, and none whose number belongs to another time."""
    task = await fleet.submit("slow", {"seconds": 1})
    first = await fleet.stream_of(task["id"], events=1)
    rest = await fleet.stream_of(task["id"], after=first[-1][0])
    again = await fleet.stream_of(task["id"], after=rest[-1][0])
    assert [name for _, name in [*first, *rest]] == ["task.queued", "task.started", "task.succeeded"]
    assert again == []
    for number, _ in [*first, *rest]:
        assert abs(number / 1e6 - datetime.now(UTC).timestamp()) < 60


async def keys_open_doors_until_they_expire(fleet: Fleet) -> None:
    """Last of all: from the first key on, this machine is not let in without one."""
    wanted = {"tenant": "default", "scopes": ["admin"]}
    short = (await fleet.http.post("/v1/keys", json={**wanted, "expires_at": soon(2)})).json()["key"]
    with_short = {"Authorization": f"Bearer {short}"}
    assert (await fleet.http.get("/v1/tasks", headers=with_short)).status_code == 200
    made = await fleet.http.post("/v1/keys", json={**wanted, "expires_at": soon(120)}, headers=with_short)
    assert made.status_code in {200, 201}
    with_long = {"Authorization": f"Bearer {made.json()['key']}"}

    async def is_over() -> bool:
        return (await fleet.http.get("/v1/tasks", headers=with_short)).status_code == 401

    await fleet.until(is_over, "the short key expired", seconds=2 + TOLERANCE_SECONDS)
    assert (await fleet.http.get("/v1/tasks", headers=with_long)).status_code == 200
