"""A child's end of the two pipes, and what signals mean to it: stop once is drain, stop twice is stop hard."""

import asyncio
import contextlib
import os
import signal

from dayshift.supervisor import words


class Lifecycle:
    """What a process is told from outside. `draining` is set by the first SIGTERM or SIGINT, or by the end of its
    supervisor; `stopping_hard` by the second signal, or at once by the end of the supervisor with `no_orphan`.
    """

    def __init__(self, *, ready_fd: int | None = None, lifeline_fd: int | None = None, no_orphan: bool = False) -> None:
        self.draining = asyncio.Event()
        self.stopping_hard = asyncio.Event()
        self._ready_fd = ready_fd
        self._lifeline_fd = lifeline_fd
        self._no_orphan = no_orphan

    def watch(self) -> None:
        """Start to listen to signals and to the lifeline; needs the running loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        # A rolling restart is the supervisor's affair; a stray SIGHUP (a closed terminal) must not end a worker.
        loop.add_signal_handler(signal.SIGHUP, _ignore)
        if self._lifeline_fd is not None:
            loop.add_reader(self._lifeline_fd, self._on_supervisor_gone)

    def say_ready(self) -> None:
        """Tell the supervisor that this process can serve. Without a supervisor it does nothing."""
        self._say(words.line(words.READY))

    def say_worker_id(self, worker_id: str) -> None:
        """Tell the supervisor under which id this worker goes on, so that it knows whose lease to release."""
        self._say(words.line(words.WORKER, worker_id))

    def _say(self, line: bytes) -> None:
        if self._ready_fd is not None:
            with contextlib.suppress(BrokenPipeError):  # the lifeline says so, too
                os.write(self._ready_fd, line)

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        if self._lifeline_fd is not None:
            loop.remove_reader(self._lifeline_fd)
            os.close(self._lifeline_fd)
            self._lifeline_fd = None
        if self._ready_fd is not None:
            os.close(self._ready_fd)
            self._ready_fd = None

    def _on_signal(self) -> None:
        if self.draining.is_set():
            self.stopping_hard.set()
        self.draining.set()

    def _on_supervisor_gone(self) -> None:
        if self._lifeline_fd is not None:
            asyncio.get_running_loop().remove_reader(self._lifeline_fd)
        if self._no_orphan:
            self.stopping_hard.set()
        self.draining.set()


def _ignore() -> None:
    """Take a signal and do nothing about it."""
