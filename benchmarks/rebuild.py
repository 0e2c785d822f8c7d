"""Valkey is lost with a full house: when does the next task start, and when is the plane whole again?

100,000 tasks are queued (10 tenants, 5 priorities, 1,000 conversations among them), 10,000 delayed and 2,000 running;
two workers go on with 200 more at a time. Then Valkey forgets everything (FLUSHALL), or is killed and started empty.
At the end every task must have succeeded in its first attempt.

Floor: the starts a second just before, which is what the loss interrupts.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
from tests.faults.postgres import Postgres
from tests.faults.valkey import Valkey

from benchmarks import harness
from dayshift.hotplane import Plane

TENANTS = 10
PRIORITIES = (1, 3, 5, 7, 9)
QUEUED = 100_000
DELAYED = 10_000
RUNNING = 2_000
CONVERSATIONS = 1_000
MESSAGES = 5
NAP_SECONDS = 0.2
RUN_SECONDS = 60.0
DELAY_SECONDS = 90.0
SLOTS_BESIDE = 100  # a worker, beyond the running ones


class House:
    """What the measurement looks into."""

    def __init__(self, served: harness.Served, valkey: Valkey, ledger: asyncpg.Connection, plane: Plane) -> None:
        self.served, self.valkey, self.ledger, self.plane = served, valkey, ledger, plane

    async def count(self, condition: str) -> int:
        return int(await self.ledger.fetchval(f"SELECT count(*) FROM tasks WHERE {condition}"))

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - other processes are looked at
                await asyncio.sleep(0.1)


async def fill(house: House) -> None:
    """Submit everything, the running ones first."""
    running = [{"agent": "idle", "input": RUN_SECONDS, "priority": 9}] * RUNNING
    await submit(house.served, running)

    async def all_run() -> bool:
        return await house.count("status = 'running'") >= RUNNING

    await house.until(all_run, 60)
    tenants = [await tenant(house.served, f"tenant-{number}") for number in range(TENANTS)]
    nap = {"agent": "idle", "input": NAP_SECONDS}
    talks = [
        nap | {"conversation": f"talk-{talk}"} for _ in range(MESSAGES) for talk in range(CONVERSATIONS // TENANTS)
    ]
    share = QUEUED // TENANTS - len(talks)
    plain = [nap | {"priority": PRIORITIES[number % len(PRIORITIES)]} for number in range(share)]
    delayed = [nap | {"delay": DELAY_SECONDS}] * (DELAYED // TENANTS)
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


async def lose(house: House, how: Callable[[], Awaitable[None]]) -> dict[str, float]:
    """Lose the plane under load, and look from outside until it is whole."""
    await asyncio.sleep(5)
    epoch = (await house.plane.state()).marker_epoch
    lost_at = time.time()
    await how()
    whole_at = await when_rebuilt(house.plane, epoch)
    await asyncio.sleep(5)
    starts = [
        row["started_at"].timestamp()
        for row in await house.ledger.fetch(
            "SELECT started_at FROM tasks WHERE started_at > $1 ORDER BY 1", datetime.fromtimestamp(lost_at - 5, UTC)
        )
    ]
    return {
        "whole_after_seconds": round(whole_at - lost_at, 3),
        "next_start_after_seconds": round(min(at for at in starts if at > whole_at - 0.05) - lost_at, 3),
        "starts_per_second_before": sum(at < lost_at for at in starts) / 5,
        "starts_per_second_in_the_5_s_after": sum(lost_at <= at < lost_at + 5 for at in starts) / 5,
        "longest_pause_seconds": round(max(b - a for a, b in itertools.pairwise(starts)), 3),
    }


async def when_rebuilt(plane: Plane, epoch: int | None) -> float:
    async with asyncio.timeout(60):
        while True:
            try:
                marker = (await plane.state()).marker_epoch
            except Exception:  # noqa: BLE001 - it is away just now, which is what is measured
                marker = None
            if marker is not None and marker != epoch:
                return time.time()
            await asyncio.sleep(0.002)


async def finish(house: House) -> dict[str, float]:
    """Let everything end, and count what is not as it must be."""

    async def all_ended() -> bool:
        return await house.count("status IN ('queued', 'running', 'waiting')") == 0

    await house.until(all_ended, 600)
    return {
        "tasks": await house.count("true"),
        "not_succeeded": await house.count("status <> 'succeeded'"),
        "attempts_beyond_one": await house.count("attempt <> 1"),
        "losses": await house.count("losses > 0"),
    }


async def ask(served: harness.Served, postgres: Postgres, valkey: Valkey) -> dict[str, Any]:
    ledger = await asyncpg.connect(postgres.url)
    plane = Plane(valkey.url)
    await plane.open()
    house = House(served, valkey, ledger, plane)
    answers: dict[str, Any] = {}
    try:
        for name, how in {"flushall": valkey.flushall, "killed": valkey.restart_empty}.items():
            await fill(house)
            answers[name] = await lose(house, how)
            answers[name] |= await finish(house)
    finally:
        await plane.close()
        await ledger.close()
    return answers


def main() -> None:
    with TemporaryDirectory(prefix="dayshift-bench-") as folder:
        postgres, valkey = Postgres(Path(folder) / "postgres"), Valkey(Path(folder) / "valkey")

        async def start() -> None:
            await asyncio.gather(postgres.start(), valkey.start())

        async def stop() -> None:
            await asyncio.gather(postgres.close(), valkey.close())

        asyncio.run(start())
        urls = {"DAYSHIFT_DATABASE_URL": postgres.url, "DAYSHIFT_VALKEY_URL": valkey.url}
        try:
            slots = RUNNING // 2 + SLOTS_BESIDE
            with harness.serve(gateways=1, workers=2, slots=slots, variables=urls) as served:
                answers = asyncio.run(ask(served, postgres, valkey))
        finally:
            asyncio.run(stop())
    harness.report(
        "How long does a lost plane take to be whole, with a full house?",
        answers,
        {name: answer["starts_per_second_before"] for name, answer in answers.items()},
        {name: answer["whole_after_seconds"] for name, answer in answers.items()},
        queued=QUEUED,
        delayed=DELAYED,
        running=RUNNING,
        conversations=CONVERSATIONS,
    )


if __name__ == "__main__":
    main()
