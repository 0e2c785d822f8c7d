"""What a child says to its supervisor, a line each: `ready`, and `worker ID` whenever it goes on under another id."""

import asyncio
import contextlib
import os

READY = "ready"
WORKER = "worker"
_MOST_BYTES = 65_536


def line(word: str, *rest: str) -> bytes:
    """A line as the child writes it: short enough to arrive whole."""
    return " ".join((word, *rest)).encode() + b"\n"


class Words:
    """The supervisor's end of the pipe. Made inside the event loop; `close` it once the child has ended."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.worker_id: str | None = None
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._unfinished = b""
        self._ready: asyncio.Future[bool] = self._loop.create_future()
        self._loop.add_reader(descriptor, self._hear)

    async def is_ready(self) -> bool:
        """Wait for `ready`; False when the pipe is closed instead."""
        return await asyncio.shield(self._ready)

    def close(self) -> None:
        """Hear what was said last, and close; safe to repeat. Who inherited the other end is not waited for."""
        if self._descriptor >= 0:
            self._hear()
            self._end()

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            said = os.read(self._descriptor, _MOST_BYTES)
            if not said:
                self._end()
                return
            *lines, self._unfinished = (self._unfinished + said).split(b"\n")
            for each in lines:
                self._take(*each.decode().split())

    def _take(self, word: str, *rest: str) -> None:
        if word == READY and not self._ready.done():
            self._ready.set_result(True)
        elif word == WORKER:
            self.worker_id = rest[0]

    def _end(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        if not self._ready.done():
            self._ready.set_result(False)
