"""What do 100,000 parked tasks cost, and how do 10,000 wake that are due in the same second?

Memory is what the worker, Valkey and PostgreSQL hold with them parked, less what they held after as many tasks that had ended. What
has woken is counted by the ledger's times of the ends, from the common moment on; the wake-up runs through the queue as
every start does, so its floor is how fast the same worker starts and ends tasks that are ready.
"""

import time

import asyncpg

from benchmarks import harness
from benchmarks.harness.ledger import seconds_from_first_start_to_last_finish, until
from benchmarks.harness.measuring import Figures, pid_of, private_bytes

NAME = "parked"
QUESTION = "What do 100,000 parked tasks cost, and how do 10,000 wake that are due in the same second?"
FAR_SECONDS = 86_400.0
_ENDS = """
SELECT extract(epoch FROM finished_at)::float8 - $2::float8 AS late FROM tasks
WHERE id = ANY ($1::uuid[]) AND status = 'succeeded' ORDER BY 1
"""
_WAITING = "SELECT count(*) FROM tasks WHERE status = 'waiting'"


def parked(served: harness.Served, many: int) -> Figures:
    """Park so many, and look what they cost."""
    kinds = ("worker", "gateway", "valkey")
    before = {kind: private_bytes(pid_of(served, kind)) for kind in kinds}
    began = time.perf_counter()
    with harness.Meter(served) as meter:
        inputs = [{"unix": time.time() + FAR_SECONDS}] * many
        harness.run(harness.submit_many(served, "sleeps_until", inputs))
        harness.run(_until_waiting(served, many))
    seconds = time.perf_counter() - began
    kept = {f"{kind}_bytes": (private_bytes(pid_of(served, kind)) - before[kind]) / many for kind in kinds}
    return kept | {"parked_per_second": many / seconds} | meter.figures(many)


def woken(served: harness.Served, many: int, ahead_seconds: float) -> Figures:
    """So many, parked, due at one moment; when they had ended, from then on."""
    moment = time.time() + ahead_seconds
    ids = harness.run(harness.submit_many(served, "sleeps_until", [{"unix": moment}] * many))
    with harness.Meter(served) as meter:
        harness.run(seconds_from_first_start_to_last_finish(served, ids))
    late = harness.run(_late(served, ids, moment))
    assert late[0] >= 0, "nothing wakes before its time"
    shares = {f"p{round(share * 100)}_s": harness.percentile(late, share) for share in (0.01, 0.5, 0.99)}
    return shares | {"per_second": many / (late[-1] - late[0])} | meter.figures(many)


def ready(served: harness.Served, many: int) -> Figures:
    harness.run(harness.configure(served, "queues.default.paused", value=True))
    ids = harness.run(harness.submit_many(served, "noop", [{"n": 1}] * many))
    harness.run(harness.configure(served, "queues.default.paused", value=False))
    return {"per_second": many / harness.run(seconds_from_first_start_to_last_finish(served, ids))}


async def _until_waiting(served: harness.Served, many: int) -> None:
    connection = await asyncpg.connect(served.database_url)
    try:
        await until(connection, many, _WAITING)
    finally:
        await connection.close()


async def _late(served: harness.Served, ids: list[str], moment: float) -> list[float]:
    connection = await asyncpg.connect(served.database_url)
    try:
        rows = await connection.fetch(_ENDS, [one.removeprefix("task_") for one in ids], moment)
        return [row["late"] for row in rows]
    finally:
        await connection.close()


def ask(effort: harness.Effort) -> harness.Report:
    many, at_once = effort.of(100_000, 200), effort.of(10_000, 100)
    with harness.serve(gateways=1, workers=1) as served:
        ready(served, effort.of(5_000, 50))  # warm
        cases = harness.repeat(
            effort,
            {
                "woken": lambda: woken(served, at_once, effort.of(30, 4)),
                "ready": lambda: ready(served, at_once),
            },
        )
        cases["parked"] = harness.Case([parked(served, many)])  # once: what is parked stays
    waking, floor, parking = cases.values()
    lines = [
        harness.line(f"{at_once:,} due at once, {share} awake after", "s", waking, f"{share}_s")
        for share in ("p1", "p50", "p99")
    ]
    lines.append(harness.line(f"{at_once:,} due at once", "tasks/s", waking, "per_second", floor=floor))
    lines += [
        harness.line(f"{many:,} parked, {kind}", "bytes a task", parking, f"{kind}_bytes")
        for kind in ("worker", "gateway", "valkey")
    ]
    lines.append(harness.line(f"{many:,} parked", "tasks/s", parking, "parked_per_second"))
    return harness.Report(
        name=NAME, question=QUESTION, lines=lines, floor="as many tasks that do nothing, ready at once, same worker"
    ).with_runs(cases, log_level="info", telemetry="on")
