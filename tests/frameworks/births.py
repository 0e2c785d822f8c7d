"""The nursery as a test sees it: workers to order, one at a time."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from tests.frameworks.killing import Plan
from tests.worker.house import House

_SECONDS = 60


class Nursery:
    """Bears the workers that run one example."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def plain_answers(self) -> list[str]:
        """What the example answers without dayshift, whole and streamed; to be asked first."""
        return msgspec.json.decode(await self._line(), type=list[str])

    async def bear(self, plan: Plan | None) -> "Worker":
        """Start a worker; with a plan, one that will die by it."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(plan) + b"\n")
        return Worker(await self._read(), asyncio.create_task(self._read()))

    async def _read(self) -> int:
        return int(await self._line())

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), _SECONDS)
        assert line, "the nursery has ended; its stderr says why"
        return line


class Worker:
    """A worker process. `ended` becomes its wait status."""

    def __init__(self, pid: int, ended: asyncio.Task[int]) -> None:
        self.pid = pid
        self.ended = ended

    async def stop(self) -> None:
        """Drain it."""
        os.kill(self.pid, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(await self.ended) == 0


@contextlib.asynccontextmanager
async def nursery(house: House, example: Path, *options: str) -> AsyncIterator[Nursery]:
    command = [sys.executable, "-m", "tests.frameworks.nursery", str(example), *options]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, env=house.environment, start_new_session=True
    )
    try:
        yield Nursery(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with the worker that was not stopped, where a test has failed
        await process.wait()
