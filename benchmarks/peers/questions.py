"""The questions, each asked once of one peer in fresh engines.

drain     `tasks` no-ops, queued beforehand; from the first entered until the peer has recorded all as done. Submitting
          them is timed too, from one client process. CPU of the workers, from their first task on, and of the engines.
latency   no-ops at 50 a second, an open loop; from the moment when one is due until its result is in hand.
agents    `tasks` agents of three 1-second calls, queued beforehand; from the first entered to the last recorded as done.
          CPU of the worker from its first task on, and of the engines, for each call.
kill      100 agents of five 1-second calls. Once the third call of each has reached the provider, the worker's whole
          process group gets kill -9, and another worker with the same settings is started at once. From the kill until
          all are recorded as done, or 60 s. The provider counts what was asked again.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from benchmarks.peers import witness
from benchmarks.peers.peer import Peer
from benchmarks.peers.processes import Group, cpu_seconds

RATE_PER_SECOND = 50
KILL_LIMIT_SECONDS = 60.0
FINISH_LIMIT_SECONDS = 90.0


class Run:
    """One asking: the peer, its workers, and the process ids of the engines."""

    def __init__(self, peer: Peer, engine_pids: list[int]) -> None:
        self.peer = peer
        self.ask = peer.ask
        self._engine_pids = engine_pids
        self._worker_cpu_before = 0.0
        self.workers: list[Group] = []

    def start_worker(self) -> Group:
        number = len(self.workers)
        group = Group(self.peer.worker(number), self.peer.place, f"worker-{number}")
        self.workers.append(group)
        return group

    def kill_worker(self) -> None:
        """kill -9, and another one at once: ours, or the one that the peer's own supervisor starts."""
        if (pid := self.peer.supervised_worker()) is not None:
            os.kill(pid, signal.SIGKILL)
            return
        self.workers[0].kill()
        self.start_worker()

    @contextlib.contextmanager
    def stopping_workers(self) -> Iterator[None]:
        try:
            yield
        finally:
            for group in self.workers:
                group.stop()

    def seen(self) -> list[witness.Seen]:
        return witness.read(self.peer.place.folder / "witness")

    def entered(self) -> int:
        return sum(one.entered for one in self.seen())

    def worker_cpu_seconds(self) -> float:
        """Of all worker programs, since the first task was entered."""
        return cpu_seconds([group.pid for group in self.workers]) - self._worker_cpu_before

    def engine_cpu_seconds(self) -> float:
        return cpu_seconds(self._engine_pids + self.peer.engine_pids())

    async def queue_and_start(self, agent: str, count: int) -> float:
        """Work queued, workers started, in the order that the peer needs; the seconds that submitting took."""
        (self.peer.place.folder / "witness").mkdir(exist_ok=True)
        if self.peer.worker_first:
            await self._start_all_and_wait()
        began = time.perf_counter()
        await self.peer.submit(agent, count)
        submitted = time.perf_counter() - began
        if not self.peer.worker_first:
            self.start_workers()
        await self.peer.release()
        return submitted

    def start_workers(self) -> None:
        for _ in range(self.peer.groups):
            self.start_worker()

    async def _start_all_and_wait(self) -> None:
        self.start_workers()
        await self.peer.workers_are_up(self.ask.workers)

    async def until_entered(self, count: int) -> None:
        """Until that many tasks were entered."""
        deadline = time.monotonic() + FINISH_LIMIT_SECONDS
        while (entered := self.entered()) < count:
            if not entered:
                self._worker_cpu_before = cpu_seconds([group.pid for group in self.workers])
            if time.monotonic() > deadline:
                raise TimeoutError(f"{entered} of {count} tasks were entered in {FINISH_LIMIT_SECONDS} s")
            self._look_at_workers()
            await asyncio.sleep(0.01)

    def _look_at_workers(self) -> None:
        for group in self.workers:
            if group.process.poll() is not None:
                raise RuntimeError(f"a worker ended with status {group.process.returncode}")

    async def until_finished(self, limit_seconds: float = FINISH_LIMIT_SECONDS) -> int:
        """Until the peer has recorded all as done, or the limit; how many are not."""
        deadline = time.monotonic() + limit_seconds
        while (left := await self.peer.unfinished()) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return left


async def drain(run: Run) -> dict[str, Any]:
    """No-ops, queued beforehand."""
    tasks = run.ask.tasks
    submit_seconds = await run.queue_and_start("noop", tasks)
    engines_before = run.engine_cpu_seconds()
    await run.until_entered(tasks)
    left = await run.until_finished()
    ended = time.time()
    if left:
        raise RuntimeError(f"{left} of {tasks} no-ops did not end")
    return {
        "tasks_per_second": tasks / (ended - min(one.first_at for one in run.seen())),
        "submit_per_second": tasks / submit_seconds,
        "worker_processes": len(run.seen()),
        "worker_cpu_us_per_task": run.worker_cpu_seconds() * 1e6 / tasks,
        "engine_cpu_us_per_task": (run.engine_cpu_seconds() - engines_before) * 1e6 / tasks,
    }


async def latency(run: Run) -> dict[str, Any]:
    """An open loop: a call leaves when it is due, whether or not others are back."""
    (run.peer.place.folder / "witness").mkdir(exist_ok=True)
    run.start_workers()
    if run.peer.worker_first:
        await run.peer.workers_are_up(run.ask.workers)
    for number in range(RATE_PER_SECOND):
        await run.peer.call(number)
    took: list[float] = []

    async def one(number: int, due: float) -> None:
        answer = await run.peer.call(number)
        took.append((time.perf_counter() - due) * 1000)
        if answer != number:
            raise RuntimeError(f"asked {number}, got {answer}")

    began = time.perf_counter()
    sent = []
    for number in range(run.ask.tasks):
        due = began + number / RATE_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sent.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*sent)
    took.sort()
    return {"p50_ms": took[len(took) // 2], "p99_ms": took[int(len(took) * 0.99)], "max_ms": took[-1]}


async def agents(run: Run) -> dict[str, Any]:
    """Agents that call an LLM, queued beforehand, one worker process."""
    calls = run.ask.tasks * run.ask.calls
    await run.queue_and_start("agent", run.ask.tasks)
    await run.until_entered(1)
    engines_before = run.engine_cpu_seconds()
    await run.until_entered(run.ask.tasks)
    left = await run.until_finished()
    ended = time.time()
    counted = _provider_stats(run)
    if left or counted["answered"] != calls:
        raise RuntimeError(f"{left} agents did not end; the provider answered {counted['answered']} of {calls} calls")
    return {
        "seconds": ended - min(one.first_at for one in run.seen()),
        "worker_cpu_ms_per_call": run.worker_cpu_seconds() * 1000 / calls,
        "engine_cpu_ms_per_call": (run.engine_cpu_seconds() - engines_before) * 1000 / calls,
    }


async def kill(run: Run) -> dict[str, Any]:
    """kill -9 of the one worker in the middle of its agents."""
    tasks, calls = run.ask.tasks, run.ask.tasks * run.ask.calls
    await run.queue_and_start("agent", tasks)
    await run.until_entered(tasks)
    while _third_calls(run) < tasks:
        await asyncio.sleep(0.02)
    killed = time.perf_counter()
    run.kill_worker()
    left = await run.until_finished(KILL_LIMIT_SECONDS)
    seconds = time.perf_counter() - killed
    counts = _provider_calls(run)
    received = sum(count["n_received"] for count in counts)
    answered_again = sum(max(0, count["n_answered"] - 1) for count in counts)
    return {
        "seconds": seconds,
        "unfinished": left,
        "calls_made_again": received - len(counts),
        "calls_answered_again": answered_again,
        "calls_missing": calls - len(counts),
    }


def _provider_stats(run: Run) -> dict[str, int]:
    answer: dict[str, int] = _from_provider(run, "stats")
    return answer


def _provider_calls(run: Run) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = _from_provider(run, "calls")["calls"]
    return answer


def _third_calls(run: Run) -> int:
    """Agents whose third call has reached the provider: what they were answered before was theirs to record."""
    return sum(call["last_message"].endswith("turn 2") for call in _provider_calls(run))


def _from_provider(run: Run, door: str) -> Any:
    with urllib.request.urlopen(f"{run.peer.place.provider_url}/_fake/{door}", timeout=10) as answer:
        return json.load(answer)


QUESTIONS = {"drain": drain, "latency": latency, "agents": agents, "kill": kill}
