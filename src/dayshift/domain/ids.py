"""Identities. Every id is a UUIDv7 (RFC 9562, section 5.7) behind a prefix that says what it names.

One text form is used everywhere (`task_0190163d-8694-739b-aea5-966c26f8ad91`): in Python, in the hot plane, in logs and
in HTTP. Only the ledger stores the bare UUID.
"""

import os
import re
import threading
import time
import uuid

TASK = "task_"
WORKER = "worker_"
KEY = "key_"

_UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class _Uuid7:
    """Makes UUIDv7s that rise within a process: ids of one millisecond count up in the 12 bits behind the time (RFC 9562,
    section 6.2, method 1). A full counter borrows from the next millisecond, and a clock set back is waited out so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0  # milliseconds << 12 | counter

    def __call__(self) -> uuid.UUID:
        random = int.from_bytes(os.urandom(9))
        # The counter starts low enough that a thousand ids fit into the millisecond.
        fresh = (time.time_ns() // 1_000_000) << 12 | (random >> 62) & 0x3FF
        with self._lock:
            self._last = max(fresh, self._last + 1)
            count = self._last
        value = (count >> 12 & ((1 << 48) - 1)) << 80
        value |= 0x7 << 76
        value |= (count & 0xFFF) << 64
        value |= 0b10 << 62
        value |= random & ((1 << 62) - 1)
        return uuid.UUID(int=value)


_uuid7 = _Uuid7()


def new(prefix: str) -> str:
    """Make a new id; `prefix` is one of the constants of this module."""
    return prefix + str(_uuid7())


def is_valid(prefix: str, text: str) -> bool:
    """Whether `text` is the canonical form of an id with that prefix."""
    return text.startswith(prefix) and _UUID_TEXT.fullmatch(text, len(prefix)) is not None


def trace_id() -> str:
    """Make a W3C trace id: 32 lowercase hexadecimal digits, not all zero."""
    return os.urandom(16).hex()
