"""Log lines are rendered and written by a thread of their own, so that no event loop ever waits for a slow terminal.

    put(line) ──▶ bounded buffer ──▶ thread: redact, render, write to stderr in batches

The producer appends to a deque, and wakes the thread only when it sleeps. The thread gathers what comes within a few
milliseconds, and goes on looking by itself until it has found nothing a few times: thousands of lines cost some
fifty wake-ups a second, and none of them is the producer's, who would hand the interpreter over amid its work. When the reader of stderr is slower than the writers,
the buffer fills and the newest lines are dropped and counted; a line says how many as soon as there is room again.
"""

import atexit
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

Line = dict[str, Any]


class Owed(Protocol):
    """Lines that are due by now; at the end, all of them."""

    def __call__(self, *, at_the_end: bool) -> list[Line]: ...


MOST_LINES = 20_000
GATHERING_SECONDS = 0.02
TICK_SECONDS = 1.0
LOOKS_IN_VAIN = 5
BATCH_LINES = 500
WHOLE_BYTES = 4096  # PIPE_BUF: processes that share a pipe never cut into a write of up to this size


class LineWriter:
    """Writes lines to a file descriptor. `render` makes text of a line and runs on the thread, as does `owed`, which is
    asked at every batch, about once a second at least, for lines that somebody still owes (what was left out).
    """

    def __init__(
        self,
        render: Callable[[Line], str],
        descriptor: int,
        *,
        owed: Owed | None = None,
        most_lines: int = MOST_LINES,
    ) -> None:
        self._render = render
        self._descriptor = descriptor
        self._owed = owed
        self._most_lines = most_lines
        self._lines: deque[Line] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._idle = threading.Condition()
        self._written = 0
        self._put = 0
        self._dropped = 0
        self._thread: threading.Thread | None = None
        os.register_at_fork(after_in_child=self._forget_thread)
        atexit.register(self.stop)

    def put(self, line: Line) -> None:
        """Hand a line over. Never blocks and never raises; a line too many is dropped and counted."""
        if len(self._lines) >= self._most_lines:
            self._dropped += 1
            return
        self._lines.append(line)
        self._put += 1
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def flush(self, timeout_seconds: float = 2.0) -> bool:
        """Wait until what was put so far is written. False when that took longer."""
        goal = self._put
        self._wake.set()
        with self._idle:
            return self._thread is None or self._idle.wait_for(lambda: self._written >= goal, timeout_seconds)

    def stop(self, timeout_seconds: float = 2.0) -> None:
        """Write what is left and end the thread. Lines put later start a new one."""
        thread = self._thread
        if thread is None:
            return
        self._stopping.set()
        self._wake.set()
        thread.join(timeout_seconds)
        self._thread = None
        self._stopping.clear()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="dayshift-log-writer", daemon=True)
        self._thread = thread
        thread.start()

    def _forget_thread(self) -> None:
        """A forked child has the buffer but not the thread; the parent writes those lines."""
        self._lines.clear()
        self._thread = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._idle = threading.Condition()
        self._written = self._put

    def _run(self) -> None:
        """`_wake` stays set for as long as the thread looks by itself."""
        looks_in_vain = 0
        while True:
            self._wake.wait(TICK_SECONDS)
            self._stopping.wait(GATHERING_SECONDS)
            looks_in_vain = 0 if self._lines else looks_in_vain + 1
            self._settle_debts()
            while self._lines:
                self._write_batch()
            if self._stopping.is_set():
                return
            if looks_in_vain > LOOKS_IN_VAIN:
                self._wake.clear()
                if self._lines:  # put by somebody who still saw it set
                    self._wake.set()

    def _settle_debts(self) -> None:
        dropped, self._dropped = self._dropped, 0
        owed = self._owed(at_the_end=self._stopping.is_set()) if self._owed is not None else []
        if dropped:
            owed.append({"level": "warning", "event": "log.dropped", "lines": dropped})
        if owed:
            self._write([self._text(line) for line in owed])

    def _write_batch(self) -> None:
        batch = [self._lines.popleft() for _ in range(min(len(self._lines), BATCH_LINES))]
        self._write([self._text(line) for line in batch])
        with self._idle:
            self._written += len(batch)
            self._idle.notify_all()

    def _text(self, line: Line) -> bytes:
        try:
            return (self._render(line) + "\n").encode("utf-8", "backslashreplace")
        except Exception as error:  # noqa: BLE001 - a value whose repr raises must not end all logging
            return b'{"level":"error","event":"log.unreadable","error":"%s"}\n' % type(error).__name__.encode()

    def _write(self, texts: list[bytes]) -> None:
        """Write whole lines together, up to the size that a pipe takes in one piece."""
        start = 0
        while start < len(texts):
            end, size = start + 1, len(texts[start])
            while end < len(texts) and size + len(texts[end]) <= WHOLE_BYTES:
                size += len(texts[end])
                end += 1
            self._write_bytes(memoryview(b"".join(texts[start:end])))
            start = end

    def _write_bytes(self, data: memoryview) -> None:
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except BlockingIOError:
            self._dropped += bytes(data).count(b"\n")
        except OSError:
            self._dropped = 0  # nobody reads stderr any more: there is no place left to say so


def stderr_descriptor() -> int:
    """Where log lines go. Asked for late, so that a test's or a daemon's replaced stderr is honoured."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return 2
