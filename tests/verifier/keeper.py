"""Keeps one command running, as an orchestrator does: whatever way its process ends, another is started."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

AGAIN_SECONDS = 0.3
END_SECONDS = 30.0


class Keeper:
    """`start` once, `stop` once. `environment` may be changed in between, for the processes to come."""

    def __init__(self, name: str, arguments: tuple[str, ...], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.environment = dict(environment)
        self.pids: list[int] = []
        self._arguments = arguments
        self._log = (folder / f"{name}.log").open("ab")
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs now; 0 while there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else 0

    async def start(self) -> None:
        await self._spawn()
        self._keeping = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.pid:
                os.kill(self.pid, number)

    def children(self, kind: str) -> list[int]:
        """The processes of that kind that a supervisor has started; none in quarantine."""
        if not self.pid:
            return []
        found = []
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.pid).children():
                with contextlib.suppress(psutil.Error):
                    words = child.cmdline()
                    if kind in words and "--check" not in words:
                        found.append(child.pid)
        return found

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for what has not ended in time."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), END_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        self._log.close()

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dayshift", *self._arguments, env=self.environment, stdout=self._log, stderr=self._log
        )
        self.pids.append(self._process.pid)

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            await self._process.wait()
            await asyncio.sleep(AGAIN_SECONDS)
            await self._spawn()
