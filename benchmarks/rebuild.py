"""Valkey is lost with a full house: when does the next task start, and when is the plane whole again?

100,000 tasks are queued (10 tenants, 5 priorities, 1,000 conversations among them), 10,000 delayed and 2,000 running;
two workers go on with 200 more at a time. Then Valkey forgets everything (FLUSHALL), or is killed and started empty.
At the end every task must have succeeded in its first attempt.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
from msgspec import Struct
from msgspec.structs import asdict
from tests.faults.valkey import Valkey

from benchmarks import harness
from benchmarks.engines import served_on_engines
from benchmarks.harness.measuring import Figures, Meter
from dayshift.domain.errors import PlaneAway
from dayshift.hotplane import Plane

NAME = "rebuild"
QUESTION = "How long does a lost hot plane take to be whole, with 100,000 tasks queued?"
TENANTS = 10
PRIORITIES = (1, 3, 5, 7, 9)
MESSAGES = 5  # a conversation
NAP_SECONDS = 0.2
RUN_SECONDS = 60.0
DELAY_SECONDS = 90.0
SLOTS_BESIDE = 100  # a worker, beyond the running ones
LOOK_SECONDS = 5.0  # before and behind the loss

_SECONDS_TO_RUN, _SECONDS_TO_REBUILD, _SECONDS_TO_END = 120.0, 60.0, 1_200.0


class Crowd(Struct, frozen=True):
    """How many tasks there are of each kind."""

    queued: int
    delayed: int
    running: int
    conversations: int


FULL = Crowd(queued=100_000, delayed=10_000, running=2_000, conversations=1_000)
QUICK = Crowd(queued=15_000, delayed=200, running=40, conversations=20)


@dataclass
class House:
    """What the measurement looks into."""

    served: harness.Served
    valkey: Valkey
    ledger: asyncpg.Connection
    plane: Plane

    async def count(self, condition: str) -> int:
        return int(await self.ledger.fetchval(f"SELECT count(*) FROM tasks WHERE {condition}"))

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - other processes are looked at
                await asyncio.sleep(0.5)


async def fill(house: House, crowd: Crowd) -> None:
    """Submit everything, the running ones first."""
    running = [{"agent": "idle", "input": RUN_SECONDS, "priority": 9}] * crowd.running
    await submit(house.served, running)

    async def all_run() -> bool:
        return await house.count("status = 'running'") >= crowd.running

    await house.until(all_run, _SECONDS_TO_RUN)
    tenants = [await tenant(house.served, f"tenant-{number}") for number in range(TENANTS)]
    nap = {"agent": "idle", "input": NAP_SECONDS}
    talks = [
        nap | {"conversation": f"talk-{talk}"}
        for _ in range(MESSAGES)
        for talk in range(crowd.conversations // TENANTS)
    ]
    share = crowd.queued // TENANTS - len(talks)
    plain = [nap | {"priority": PRIORITIES[number % len(PRIORITIES)]} for number in range(share)]
    delayed = [nap | {"delay": DELAY_SECONDS}] * (crowd.delayed // TENANTS)
    await asyncio.gather(*(submit(each, talks + plain + delayed) for each in tenants))


async def tenant(served: harness.Served, name: str) -> harness.Served:
    made = await harness.request_json(served, "POST", "/v1/keys", {"tenant": name, "scopes": ["submit", "read"]})
    await harness.request_json(served, "PUT", f"/v1/settings/tenants.{name}.max_queued", {"value": 1_000_000})
    await asyncio.sleep(1.2 / TENANTS)
    return harness.Served(served.process, served.host, served.port, made["key"])


async def submit(served: harness.Served, tasks: list[dict[str, Any]]) -> None:
    for start in range(0, len(tasks), 1000):
        body = {"tasks": tasks[start : start + 1000]}
        answer = await harness.request_json(served, "POST", "/v1/tasks/batch", body)
        refused = [row for row in answer["data"] if "id" not in row]
        if refused:
            raise RuntimeError(f"{len(refused)} were refused: {refused[0]}")


async def lose(house: House, how: Callable[[], Awaitable[None]]) -> Figures:
    """Lose the plane under load, and look from outside until it is whole."""
    await asyncio.sleep(LOOK_SECONDS)
    epoch = (await house.plane.state()).marker_epoch
    lost_at = time.time()
    with Meter(house.served) as meter:
        await how()
        whole_at = await when_rebuilt(house.plane, epoch)
    await asyncio.sleep(LOOK_SECONDS)
    starts = [
        row["started_at"].timestamp()
        for row in await house.ledger.fetch(
            "SELECT started_at FROM tasks WHERE started_at > $1 ORDER BY 1",
            datetime.fromtimestamp(lost_at - LOOK_SECONDS, UTC),
        )
    ]
    return {
        "ready_after_seconds": whole_at - lost_at,
        "next_start_after_seconds": min(at for at in starts if at > whole_at - 0.05) - lost_at,
        "longest_pause_seconds": max(b - a for a, b in itertools.pairwise(starts)),
        "starts_per_second_before": sum(at < lost_at for at in starts) / LOOK_SECONDS,
        "starts_per_second_after": sum(whole_at <= at < whole_at + LOOK_SECONDS for at in starts) / LOOK_SECONDS,
        "maintenance_cpu_seconds": meter.cpu_seconds["maintenance"],
    }


async def when_rebuilt(plane: Plane, epoch: int | None) -> float:
    async with asyncio.timeout(_SECONDS_TO_REBUILD):
        while True:
            try:
                marker = (await plane.state()).marker_epoch
            except PlaneAway:
                marker = None
            if marker is not None and marker != epoch:
                return time.time()
            await asyncio.sleep(0.002)


async def finish(house: House) -> Figures:
    """Let everything end, and count what is not as it must be."""

    async def all_ended() -> bool:
        return await house.count("status IN ('queued', 'running', 'waiting')") == 0

    await house.until(all_ended, _SECONDS_TO_END)
    return {
        "tasks": float(await house.count("true")),
        "amiss": float(await house.count("status <> 'succeeded' OR attempt <> 1 OR failures > 0 OR losses > 0")),
    }


async def measure(served: harness.Served, valkey: Valkey, crowd: Crowd, how: Callable[[], Awaitable[None]]) -> Figures:
    ledger = await asyncpg.connect(served.database_url)
    plane = Plane(valkey.url)
    await plane.open()
    house = House(served, valkey, ledger, plane)
    try:
        await ledger.execute("TRUNCATE tasks, conversations")
        await fill(house, crowd)
        return await lose(house, how) | await finish(house)
    finally:
        await plane.close()
        await ledger.close()


def ask(effort: harness.Effort) -> harness.Report:
    crowd = QUICK if effort.quick else FULL
    with served_on_engines(slots=crowd.running // 2 + SLOTS_BESIDE) as (served, _, valkey):
        cases = harness.repeat(
            effort,
            {
                name: lambda how=how: harness.run(measure(served, valkey, crowd, how))
                for name, how in {"FLUSHALL": valkey.flushall, "kill -9": valkey.restart_empty}.items()
            },
        )
    lines = []
    for name, case in cases.items():
        lines += [
            harness.line(f"{name}: tasks amiss", "in all", case, "amiss"),
            harness.line(f"{name}: until the next task starts", "s", case, "next_start_after_seconds"),
            harness.line(f"{name}: longest time without a start", "s", case, "longest_pause_seconds"),
            harness.line(f"{name}: maintenance", "CPU s", case, "maintenance_cpu_seconds"),
            harness.line(
                f"{name}: starts a second afterwards",
                "starts/s",
                case,
                "starts_per_second_after",
                floor=case,
                floor_figure="starts_per_second_before",
            ),
        ]
    report = harness.Report(name=NAME, question=QUESTION, lines=lines, floor="starts a second just before the loss")
    return report.with_runs(cases, **asdict(crowd))
