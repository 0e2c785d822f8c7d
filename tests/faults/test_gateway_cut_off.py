"""A gateway that one plane does not hear, while everybody else is well."""

import asyncio
from typing import Any

import pytest

from dayshift.domain import clock
from tests.faults.fleet import Fleet

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


async def test_a_gateway_that_the_plane_does_not_hear_still_gets_its_tasks_run(fleet: Fleet) -> None:
    """Maintenance announces what no nudge did, and the ledger is asked for the ends that no push brought."""
    fleet["gateway"].plane.partition()
    began_mono = clock.monotonic_seconds()
    tasks = await asyncio.gather(*(fleet.submit("echo", f"{n}") for n in range(5)))
    ended = await fleet.all_ended([task["id"] for task in tasks])
    assert [task["output"] for task in ended] == [f"{n}" for n in range(5)]
    assert clock.monotonic_seconds() - began_mono < 15


async def test_a_gateway_that_the_ledger_does_not_hear_says_so_and_when_to_come_back(fleet: Fleet) -> None:
    fleet["gateway"].ledger.partition()
    answers = await asyncio.gather(*(fleet.http.post("/v1/tasks", json={"agent": "echo", "input": "x"}) for _ in "123"))
    assert [answer.status_code for answer in answers] == [503] * 3
    assert all(answer.headers["Retry-After"] for answer in answers)
    assert (await fleet.http.get("/livez")).status_code == 200
    fleet.heal()
    tasks = await asyncio.gather(*(accepted(fleet, f"{n}") for n in range(5)))
    assert {task["status"] for task in await fleet.all_ended([task["id"] for task in tasks])} == {"succeeded"}


async def accepted(fleet: Fleet, value: str) -> dict[str, Any]:
    """Submitted as a careful client does it: again, with the same key, when told to come back."""
    body, headers = {"agent": "echo", "input": value}, {"Idempotency-Key": f"again-{value}"}
    async with asyncio.timeout(20):
        while (answer := await fleet.http.post("/v1/tasks", json=body, headers=headers)).status_code == 503:
            await asyncio.sleep(float(answer.headers["Retry-After"]))
    task: dict[str, Any] = answer.json()
    return task
