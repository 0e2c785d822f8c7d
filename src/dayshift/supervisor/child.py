"""One supervised process, and the two pipes between it and its supervisor.

- The *ready* pipe: the child writes a line when it can serve, and a worker writes another whenever it goes on under a new
  id (see words.py). End of file before the first means that the child failed to start.
- The *lifeline*: the child reads, the supervisor holds the only writing end. When the supervisor ends, however it ends,
  the child reads end of file and drains. A death signal would be simpler, but Linux drops it on a change of uid and
  fires it when the creating thread ends, and other systems have none.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping

from msgspec import Struct

from dayshift.domain import clock
from dayshift.domain.errors import DayshiftError
from dayshift.supervisor.words import Words

READY_FD = "--ready-fd"
LIFELINE_FD = "--lifeline-fd"


class Command(Struct, frozen=True, kw_only=True):
    """How to start a process: the arguments after `python -m dayshift`, and what it inherits."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    descriptors: tuple[int, ...] = ()


class ChildFailed(DayshiftError):
    """A child ended before it was ready. Its own last words are on stderr; `exit_status` is its exit status."""

    code = "child_failed"

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class Child:
    """A running process of some kind. Made by `Child.spawn`."""

    def __init__(
        self, kind: str, worker_id: str | None, process: asyncio.subprocess.Process, words: Words, lifeline: int
    ) -> None:
        self.kind = kind
        self.started_at = clock.monotonic_seconds()
        self.was_killed = False
        self._first_worker_id = worker_id
        self._process = process
        self._words = words
        self._lifeline_writer = lifeline

    @classmethod
    async def spawn(cls, kind: str, command: Command, *, worker_id: str | None = None) -> "Child":
        """Start the process in a session of its own, so that Ctrl-C in a terminal reaches the supervisor alone."""
        ready_reader, ready_writer = os.pipe()
        lifeline_reader, lifeline_writer = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "dayshift",
                *command.arguments,
                READY_FD,
                str(ready_writer),
                LIFELINE_FD,
                str(lifeline_reader),
                env=dict(command.environment),
                pass_fds=(ready_writer, lifeline_reader, *command.descriptors),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            os.close(ready_reader)
            os.close(lifeline_writer)
            raise
        finally:
            os.close(ready_writer)
            os.close(lifeline_reader)
        return cls(kind, worker_id, process, Words(ready_reader), lifeline_writer)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def worker_id(self) -> str | None:
        """Under which id it works, or worked last. One that lost its lease and lives on has said its new one."""
        return self._words.worker_id or self._first_worker_id

    @property
    def exit_status(self) -> int | None:
        return self._process.returncode

    async def wait_ready(self, timeout_seconds: float) -> None:
        """Return when the child can serve. Raises `ChildFailed` when it ends first, or takes too long (it is killed)."""
        try:
            is_ready = await asyncio.wait_for(self._words.is_ready(), timeout_seconds)
        except TimeoutError:
            self.kill()
            await self.wait_ended()
            raise ChildFailed(
                f"The {self.kind} process {self.pid} was not ready after {timeout_seconds:.0f} s and was killed; "
                "its log lines above say how far it came.",
                exit_status=1,
            ) from None
        if not is_ready:
            status = await self.wait_ended()
            raise ChildFailed(
                f"The {self.kind} process {self.pid} {describe_exit(status)} before it was ready.", status
            )

    async def wait_ended(self) -> int:
        """Wait for the end; returns the exit status (negative: the signal that ended it)."""
        status = await self._process.wait()
        self._close_pipes()
        return status

    def drain(self) -> None:
        """Ask the process to finish what it has and stop; a second call asks it to stop at once."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once. `was_killed` tells it from a process that died by itself."""
        self.was_killed = True
        self._signal(signal.SIGKILL)

    async def stop(self, grace_seconds: float) -> int:
        """Drain, and kill what has not ended within the grace."""
        self.drain()
        try:
            return await asyncio.wait_for(asyncio.shield(self.wait_ended()), grace_seconds)
        except TimeoutError:
            self.kill()
            return await self.wait_ended()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _close_pipes(self) -> None:
        self._words.close()
        if self._lifeline_writer >= 0:
            os.close(self._lifeline_writer)
            self._lifeline_writer = -1


def describe_exit(status: int) -> str:
    """Words for an exit status: `ended with status 2`, `was ended by SIGKILL`."""
    if status >= 0:
        return f"ended with status {status}"
    return f"was ended by {signal.Signals(-status).name}"
