"""Identities. Every id is a UUIDv7 (RFC 9562, section 5.7) behind a prefix that says what it names.

One text form is used everywhere (`task_0190163d-8694-739b-aea5-966c26f8ad91`): in Python, in the hot plane, in logs and
in HTTP. Only the ledger stores the bare UUID.
"""

import os
import re
import threading

from dayshift.domain.clock import unix_ms

TASK = "task_"
WORKER = "worker_"
KEY = "key_"
EFFECT = "effect_"
MESSAGE = "msg_"
CONVERSATION = "conv_"
PROBE = "probe_"
WEBHOOK = "wh_"  # an endpoint
SCHEDULE = "sched_"
REQUEST = "req_"  # of HTTP

_UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class _Uuid7:
    """Makes UUIDv7s that rise within a process: ids of one millisecond count up in the 12 bits behind the time (RFC 9562,
    section 6.2, method 1). A full counter borrows from the next millisecond, and a clock set back is waited out so.

    Random bytes are asked for by the page: a system call for each id costs more than all the rest of it. A forked child
    asks for its own.
    """

    _BYTES = 10
    _PAGE_BYTES = 400 * _BYTES

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0  # milliseconds << 12 | counter
        self._page = b""
        self._used = 0
        os.register_at_fork(after_in_child=self._begin_anew)

    def __call__(self) -> str:
        with self._lock:
            if self._used == len(self._page):
                self._page, self._used = os.urandom(self._PAGE_BYTES), 0
            random = self._page[self._used : self._used + self._BYTES]
            self._used += self._BYTES
            # The counter starts low enough that a thousand ids fit into the millisecond.
            fresh = unix_ms() << 12 | (random[0] & 3) << 8 | random[1]
            count = self._last = max(fresh, self._last + 1)
        head, tail = f"{count:015x}", random[2:].hex()
        variant = "89ab"[random[0] >> 6]
        return f"{head[:8]}-{head[8:12]}-7{head[12:]}-{variant}{tail[1:4]}-{tail[4:]}"

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._page, self._used = b"", 0


_uuid7 = _Uuid7()


def new(prefix: str) -> str:
    """Make a new id; `prefix` is one of the constants of this module."""
    return prefix + _uuid7()


def is_valid(prefix: str, text: str) -> bool:
    """Whether `text` is the canonical form of an id with that prefix."""
    return text.startswith(prefix) and _UUID_TEXT.fullmatch(text, len(prefix)) is not None


def pattern(prefix: str) -> str:
    """What `is_valid` takes, as a pattern that JSON Schema knows."""
    return f"^{prefix}{_UUID_TEXT.pattern}$"


def trace_id() -> str:
    """Make a W3C trace id: 32 lowercase hexadecimal digits, not all zero."""
    return os.urandom(16).hex()
