"""What do clients notice of ten rolling restarts (SIGHUP) of every process, one after another?

Meanwhile, on connections that are kept alive as any HTTP library does: 100 requests a second (submits, reads, long-polls),
and readers that follow the streams of tasks which speak every 100 ms, resuming by Last-Event-ID when a gateway leaves. A
stream must bring each word of the agent once and in order.
"""

import asyncio
import contextlib
import os
import signal
import time

import psutil

from benchmarks import harness
from benchmarks.clients import Clients, account
from benchmarks.harness.measuring import Figures

NAME = "rolling"
QUESTION = "What do clients notice of rolling restarts of every process, one after another?"
REQUESTS_PER_SECOND = 100
READERS = 20
QUIET_SECONDS = 20
_SETTLE_SECONDS = 2.0
_SECONDS_A_RESTART = 300.0

MUST_NOT_BE = (
    "failed_requests",
    "refused_requests",
    "spoiled_streams",
    "snapshots",
    "failures",
    "losses",
    "not_succeeded",
)


def processes_of(served: harness.Served) -> set[int]:
    """The gateways and workers that the supervisor keeps."""
    found = set()
    for child in psutil.Process(served.process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if {"gateway", "worker"} & set(child.cmdline()):
                found.add(child.pid)
    return found


async def roll(served: harness.Served) -> float:
    """One SIGHUP, until every process is another one; the seconds that it took."""
    before, began = await asyncio.to_thread(processes_of, served), time.monotonic()
    os.kill(served.process.pid, signal.SIGHUP)
    async with asyncio.timeout(_SECONDS_A_RESTART):
        while True:
            now = await asyncio.to_thread(processes_of, served)
            if not now & before and len(now) == len(before):
                return time.monotonic() - began
            await asyncio.sleep(0.1)


async def under_load(
    served: harness.Served,
    restarts: int,
    *,
    quiet_seconds: float = 0.0,
    per_second: float = REQUESTS_PER_SECOND,
    readers: int = READERS,
) -> Figures:
    """Restart so often under load; the sum of what must not be is `amiss`."""
    clients = Clients(served)
    clients.come(per_second=per_second, readers=readers)
    await asyncio.sleep(_SETTLE_SECONDS + quiet_seconds)
    took_seconds = [await roll(served) for _ in range(restarts)]
    await asyncio.sleep(_SETTLE_SECONDS)
    seen = await clients.leave()
    for complaint in seen.complaints():
        print(complaint)
    figures = seen.figures() | await account(served, seen.accepted)
    figures |= {"seconds_a_restart": sum(took_seconds) / max(1, restarts), "restarts": float(restarts)}
    return figures | {"amiss": sum(figures[figure] for figure in MUST_NOT_BE)}


def ask(effort: harness.Effort) -> harness.Report:
    restarts = effort.of(10, 1)
    with harness.serve(gateways=2, workers=2, slots=200) as served:
        quiet = harness.Case([harness.run(under_load(served, 0, quiet_seconds=effort.of(QUIET_SECONDS, 1)))])
        rolled = harness.Case([harness.run(under_load(served, restarts))])
    lines = [
        harness.line("requests, streams and tasks amiss", "in all", rolled, "amiss", floor=quiet),
        harness.line("requests", "in all", rolled, "requests"),
        harness.line("streams read to their end", "in all", rolled, "streams"),
        harness.line("streams resumed on another gateway", "in all", rolled, "streams_resumed"),
        harness.line("a restart of all processes", "s", rolled, "seconds_a_restart"),
    ]
    report = harness.Report(name=NAME, question=QUESTION, lines=lines, floor="the same load and no restart")
    return report.with_runs(
        {"rolled": rolled, "quiet": quiet},
        requests_per_second=REQUESTS_PER_SECOND,
        readers=READERS,
        restarts=restarts,
        amiss=MUST_NOT_BE,
    )
