"""What do clients and running tasks notice when an engine is lost in the middle of 2,000 tasks?

1,000 agents run, 1,000 tasks wait behind them, and clients submit, read, long-poll and follow streams. Then Valkey forgets
everything, or is killed and started empty, or PostgreSQL is restarted at once (every session cut, recovery from the WAL).
Clients may be told 503 with Retry-After and nothing worse; every task must succeed in its first attempt, and no agent's
code may be entered twice.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct
from msgspec.structs import asdict

from benchmarks import harness
from benchmarks.clients import Clients, account
from benchmarks.engines import served_on_engines
from benchmarks.harness.measuring import Figures

NAME = "engines_lost"
QUESTION = "What is noticed of an engine that is lost in the middle of 2,000 tasks under load?"
WAIT_SECONDS = 0.5
SLOTS_BESIDE = 100  # so that the waiting ones take some seconds


class Size(Struct, frozen=True):
    """How much is going on."""

    running: int
    run_seconds: float
    waiting: int
    requests_per_second: float
    readers: int

    @property
    def slots(self) -> int:
        """Of each of two workers."""
        return (self.running + SLOTS_BESIDE) // 2


FULL = Size(running=1_000, run_seconds=20.0, waiting=1_000, requests_per_second=100.0, readers=20)
QUICK = Size(running=150, run_seconds=6.0, waiting=250, requests_per_second=40.0, readers=5)

_SETTLE_SECONDS = 1.0
_SECONDS_TO_RUN = 120.0

Lose = Callable[[], Awaitable[None]]
MUST_NOT_BE = ("failed_requests", "spoiled_streams", "not_succeeded", "attempts_beyond_one", "entered_twice")


async def lose(served: harness.Served, witness: Path, how: Lose, size: Size) -> Figures:
    """Lose an engine under load; the sum of what must not be is `amiss`."""
    witness.write_text("")
    ids = await harness.submit_many(served, "witnessed", [size.run_seconds] * size.running)
    async with asyncio.timeout(_SECONDS_TO_RUN):
        while len(entered(witness)) < len(ids):  # noqa: ASYNC110 - another process's file is looked at
            await asyncio.sleep(0.1)
    ids += await harness.submit_many(served, "witnessed", [WAIT_SECONDS] * size.waiting)
    clients = Clients(served)
    clients.come(per_second=size.requests_per_second, readers=size.readers)
    await asyncio.sleep(_SETTLE_SECONDS)
    lost_at_mono, lost_at = time.monotonic(), time.time()
    await how()
    accounted = await account(served, ids)
    seen = await clients.leave()
    for complaint in seen.complaints():
        print(complaint)
    beside = await account(served, seen.accepted)
    entries = entered(witness)
    figures = seen.figures() | {figure: accounted[figure] + beside[figure] for figure in accounted}
    figures |= {
        "entered_twice": float(sum(count > 1 for count in Counter(task for task, _ in entries).values())),
        "longest_without_accept_seconds": longest_gap([lost_at_mono, *seen.accepted_at_mono], lost_at_mono),
        "longest_without_start_seconds": longest_gap([at for _, at in entries], lost_at),
    }
    return figures | {"amiss": sum(figures[figure] for figure in MUST_NOT_BE)}


def entered(witness: Path) -> list[tuple[str, float]]:
    """The task and the time of each entry into an agent's code."""
    lines = [line.split() for line in witness.read_text().splitlines()]
    return [(line[0], float(line[3])) for line in lines]


def longest_gap(moments: list[float], since: float) -> float:
    """The longest time between two moments of which the later is not before `since`."""
    pairs = itertools.pairwise(sorted(moments))
    return max((later - earlier for earlier, later in pairs if later >= since), default=0.0)


def ask(effort: harness.Effort) -> harness.Report:
    size = QUICK if effort.quick else FULL
    with TemporaryDirectory() as folder:
        witness = Path(folder) / "witness.txt"
        variables = {"WITNESS": str(witness)}
        with served_on_engines(slots=size.slots, variables=variables) as (served, postgres, valkey):
            faults = {
                "FLUSHALL": valkey.flushall,
                "kill -9 of Valkey": valkey.restart_empty,
                "restart of PostgreSQL": postgres.restart_immediate,
            }
            cases = harness.repeat(
                effort,
                {name: lambda how=how: harness.run(lose(served, witness, how, size)) for name, how in faults.items()},
            )
    lines = []
    for name, case in cases.items():
        lines += [
            harness.line(f"{name}: requests, streams and tasks amiss", "in all", case, "amiss"),
            harness.line(
                f"{name}: requests told 503 with Retry-After",
                "in all",
                case,
                "refused_requests",
                floor=case,
                floor_figure="requests",
            ),
            harness.line(f"{name}: without an accepted task", "s", case, "longest_without_accept_seconds"),
            harness.line(f"{name}: without a started task", "s", case, "longest_without_start_seconds"),
        ]
    report = harness.Report(name=NAME, question=QUESTION, lines=lines, floor="for refused requests: all requests")
    return report.with_runs(
        cases,
        **asdict(size),
        amiss=MUST_NOT_BE,
    )
