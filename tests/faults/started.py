"""One `dayshift` process that a test has started, and its two ways to the engines."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.faults import processes
from tests.faults.proxy import Proxy

SECONDS_TO_END = 20.0


class Process(Struct):
    """One `dayshift` process and its two ways."""

    name: str
    ledger: Proxy
    plane: Proxy
    log_path: Path
    child: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.child.pid

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped for as long as the block lasts."""
        processes.freeze(self.pid)
        try:
            yield
        finally:
            processes.thaw(self.pid)

    def partition(self) -> None:
        """Cut off from both planes."""
        self.ledger.partition()
        self.plane.partition()

    def heal(self) -> None:
        self.ledger.heal()
        self.plane.heal()

    def log_events(self, name: str) -> list[dict[str, Any]]:
        """The JSON log lines whose event bears that name."""
        lines = [json.loads(line) for line in self.log_path.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == name]

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, frozen or not, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            processes.thaw(self.pid)
            self.child.send_signal(number)
        try:
            await asyncio.wait_for(self.child.wait(), SECONDS_TO_END)
        except TimeoutError:
            self.child.kill()
            await self.child.wait()


async def start_dayshift(*arguments: str, environment: Mapping[str, str], log_path: Path) -> asyncio.subprocess.Process:
    """`python -m dayshift ARGUMENTS`, whose every word goes to that file."""
    with log_path.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dayshift", *arguments, env=environment, stdout=log, stderr=log
        )
