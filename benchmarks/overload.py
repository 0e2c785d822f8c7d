"""What does one gateway do with ten times the load that it can take?

What it can take is found by a closed loop of submits whose tasks run meanwhile. Then, for a minute, ten times as many are
due on 800 connections. One that is due while every connection waits for its answer is not sent, and counted so: generator,
gateway, worker and engines share the machine, and a generator that piles up requests would measure itself.

Every refusal must say when to come back, every accepted task must succeed, memory must stay within bounds, and five
seconds later a submit must take as long as before.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import msgspec

from benchmarks import harness
from benchmarks.harness.ledger import seconds_from_first_start_to_last_finish
from benchmarks.harness.loads import close_connections, closed_loop, open_connections, open_loop
from benchmarks.harness.measuring import Figures, pid_of, private_bytes
from benchmarks.streams import allow_many_connections

NAME = "overload"
QUESTION = "What does one gateway do with ten times the load that it can take?"
TIMES, CONNECTIONS = 10, 800
CALM_PER_SECOND, SECONDS_TO_CALM_DOWN = 50, 5.0
_TICK_SECONDS = 0.005
_MIB = 1024 * 1024


class Seen(msgspec.Struct):
    """What the generator saw."""

    due: int = 0
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    without_retry_after: int = 0
    accepted: list[str] = msgspec.field(default_factory=list)
    accepts_ms: list[float] = msgspec.field(default_factory=list)
    refusals_ms: list[float] = msgspec.field(default_factory=list)

    def note(self, status: int, headers: bytes, body: bytes, took_ms: float) -> None:
        self.statuses[status] += 1
        if status == 202:
            self.accepted.append(json.loads(body)["id"])
            self.accepts_ms.append(took_ms)
        else:
            self.refusals_ms.append(took_ms)
            self.without_retry_after += b"\r\nretry-after:" not in headers


def submit(connection: harness.Connection, number: int) -> bytes:
    return connection.encode("POST", "/v1/tasks", b'{"agent": "noop", "input": {"n": %d}}' % number)


async def overloaded(served: harness.Served, per_second: float, seconds: float) -> Seen:
    """As many requests due as that, each on a connection that is free then."""
    seen, pool = Seen(), await open_connections(served, CONNECTIONS)
    free, under_way = list(pool), set[asyncio.Task[None]]()

    async def one(connection: harness.Connection) -> None:
        began = time.perf_counter()
        status, body = await connection.send(submit(connection, seen.due))
        seen.note(status, connection.headers, body, (time.perf_counter() - began) * 1000)
        free.append(connection)

    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        now_due = int(per_second * elapsed)
        for _ in range(min(now_due - seen.due, len(free))):
            sending = asyncio.create_task(one(free.pop()))
            under_way.add(sending)
            sending.add_done_callback(under_way.discard)
        seen.due = now_due
        await asyncio.sleep(_TICK_SECONDS)
    await asyncio.gather(*under_way)
    await close_connections(pool)
    return seen


@contextlib.asynccontextmanager
async def most_memory(pid: int) -> AsyncIterator[list[int]]:
    """Collects a process's private bytes once a second."""
    sizes = [private_bytes(pid)]

    async def look() -> None:
        while True:
            await asyncio.sleep(1)
            sizes.append(private_bytes(pid))

    looking = asyncio.create_task(look())
    try:
        yield sizes
    finally:
        looking.cancel()


async def calm(served: harness.Served, seconds: float) -> Figures:
    return await open_loop(served, submit, per_second=CALM_PER_SECOND, seconds=seconds, expected=202)


async def before_amid_after(served: harness.Served, per_second: float, seconds: float, calm_seconds: float) -> Figures:
    before = await calm(served, calm_seconds)
    async with most_memory(pid_of(served, "gateway")) as sizes:
        seen = await overloaded(served, per_second, seconds)
        await asyncio.sleep(SECONDS_TO_CALM_DOWN)
        after = await calm(served, calm_seconds)
    drained = await seconds_from_first_start_to_last_finish(served, seen.accepted)  # raises unless all succeed
    sent = seen.statuses.total()
    return {
        "due_per_second": seen.due / seconds,
        "sent_per_second": sent / seconds,
        "accepted_per_second": len(seen.accepted) / seconds,
        "accepted": float(len(seen.accepted)),
        "refused": float(seen.statuses[429] + seen.statuses[503]),
        "refused_without_retry_after": float(seen.without_retry_after),
        "answered_otherwise": float(sent - sum(seen.statuses[status] for status in (202, 429, 503))),
        "accept_p99_ms": _p99(seen.accepts_ms),
        "refusal_p99_ms": _p99(seen.refusals_ms),
        "memory_before_mib": sizes[0] / _MIB,
        "memory_at_most_mib": max(sizes) / _MIB,
        "p99_before_ms": before["p99_ms"],
        "p99_after_ms": after["p99_ms"],
        "drained_seconds": drained,
    }


def _p99(took_ms: Sequence[float]) -> float:
    return harness.percentile(took_ms, 0.99) if took_ms else 0.0


def ask(effort: harness.Effort) -> harness.Report:
    allow_many_connections()
    seconds, calm_seconds, tasks = effort.of(60, 2), effort.of(10, 1), effort.of(10_000, 300)
    able, overload = harness.Case(), harness.Case()
    for _ in range(effort.repeats):
        with harness.serve(gateways=1, workers=1, slots=500) as served:
            harness.run(closed_loop(served, submit, tasks // 10, connections=64, expected=202))  # warm
            took, _ = harness.run(closed_loop(served, submit, tasks, connections=64, expected=202))
            able.runs.append({"accepted_per_second": tasks / took})
            harness.run(asyncio.sleep(SECONDS_TO_CALM_DOWN))
            much = TIMES * tasks / took
            overload.runs.append(harness.run(before_amid_after(served, much, seconds, calm_seconds)))
    lines = [
        harness.line("accepted, and run", "tasks/s", overload, "accepted_per_second", floor=able),
        harness.line("due", "requests/s", overload, "due_per_second"),
        harness.line("sent", "requests/s", overload, "sent_per_second"),
        harness.line(
            "refused without Retry-After, or answered otherwise", "in all", overload, "refused_without_retry_after"
        ),
        harness.line("an accepted one's answer, p99", "ms", overload, "accept_p99_ms"),
        harness.line("a refusal, p99", "ms", overload, "refusal_p99_ms"),
        harness.line(
            "the gateway's memory at most",
            "MiB",
            overload,
            "memory_at_most_mib",
            floor=overload,
            floor_figure="memory_before_mib",
        ),
        harness.line(
            "a submit 5 s later, p99", "ms", overload, "p99_after_ms", floor=overload, floor_figure="p99_before_ms"
        ),
    ]
    report = harness.Report(
        name=NAME,
        question=QUESTION,
        lines=lines,
        floor="accepted: what a closed loop of 64 connections is; memory and the last: before the load",
    )
    return report.with_runs({"overload": overload, "able": able}, times=TIMES, connections=CONNECTIONS, seconds=seconds)
