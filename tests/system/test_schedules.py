"""Schedules looked after by three maintenance processes, two of which are killed at work: each due time becomes one task."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from dayshift.supervisor.child import Child, Command
from tests.system.house import AGENTS, House

pytestmark = pytest.mark.system

SCHEDULES = 8
SECOND = timedelta(seconds=1)
DOWNTIME = 300 * SECOND


async def test_each_due_time_becomes_one_task_whoever_is_killed(house: House) -> None:
    key = await house.first_key()
    house.environment["DAYSHIFT_API_KEY"] = key
    await house.start("gateway", key=key)
    commands = [("worker", str(AGENTS)), *[("maintenance",)] * 3]
    async with started(house, *commands) as (_, first_to_die, second_to_die, _):
        schedules = await asyncio.gather(*(_every_second(house, f"ticks {number}") for number in range(SCHEDULES)))
        first = _this_second() - DOWNTIME
        await house.rows("UPDATE schedules SET next_at = $1, start_at = $1", first)
        await house.until(lambda: _has_begun(house), "begun")
        first_to_die.kill()
        await house.until(lambda: _is_due_time_made(house, _this_second() - 2 * SECOND), "up to date")
        second_to_die.kill()
        last = _this_second() + 3 * SECOND
        await house.until(lambda: _is_due_time_made(house, last), "gone on")
        await house.cli("schedules", "pause", *schedules)
        due = {schedule: await _due_times(house, schedule) for schedule in schedules}
        for times in due.values():
            assert times == [first + number * SECOND for number in range(len(times))]
            assert times[-1] >= last
        await house.until(lambda: _have_succeeded(house, sum(map(len, due.values()))), "all run")


@asynccontextmanager
async def started(house: House, *commands: tuple[str, ...]) -> AsyncIterator[list[Child]]:
    """Processes of these commands, all of them ready; those that live at the end are killed."""
    children = [
        await Child.spawn(command[0], Command(arguments=command, environment=house.environment)) for command in commands
    ]
    try:
        await asyncio.gather(*(child.wait_ready(60) for child in children))
        yield children
    finally:
        for child in children:
            child.kill()
        await asyncio.gather(*(child.wait_ended() for child in children))


async def _every_second(house: House, name: str) -> str:
    """A schedule that is not due yet."""
    start_at = (_this_second() + timedelta(hours=1)).isoformat()
    task = {"agent": "echo", "input": {"value": "tick"}}
    said = {"name": name, "every": 1, "start_at": start_at, "catch_up": "all", "task": task}
    made = await house.http.post("/v1/schedules", json=said)
    assert made.status_code == 201, made.text
    schedule: str = made.json()["id"]
    return schedule


async def _has_begun(house: House) -> bool:
    return bool(await house.rows("SELECT 1 FROM schedules WHERE last_due_at IS NOT NULL LIMIT 1"))


async def _is_due_time_made(house: House, due: datetime) -> bool:
    """Whether all schedules are past it."""
    [row] = await house.rows("SELECT bool_and(last_due_at >= $1) AS all_past FROM schedules", due)
    return bool(row["all_past"])


async def _due_times(house: House, schedule: str) -> list[datetime]:
    """Those of its tasks, in order."""
    rows = await house.rows("SELECT convert_from(metadata, 'UTF8') AS metadata FROM tasks")
    metadata = [json.loads(row["metadata"]) for row in rows]
    return sorted(datetime.fromisoformat(one["due_at"]) for one in metadata if one["schedule"] == schedule)


async def _have_succeeded(house: House, count: int) -> bool:
    [row] = await house.rows("SELECT count(*) AS tasks FROM tasks WHERE status = 'succeeded' AND attempt = 1")
    return bool(row["tasks"] == count)


def _this_second() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
