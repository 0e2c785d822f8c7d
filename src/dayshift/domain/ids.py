"""Identities. Every id is a UUIDv7 (RFC 9562, section 5.7) behind a prefix that says what it names.

One text form is used everywhere (`task_0190163d-8694-739b-aea5-966c26f8ad91`): in Python, in the hot plane, in logs and
in HTTP. Only the ledger stores the bare UUID.
"""

import os
import re
import time
import uuid

TASK = "task_"
WORKER = "worker_"
KEY = "key_"

_UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _uuid7() -> uuid.UUID:
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    value |= ((random >> 62) & 0xFFF) << 64
    value |= 0b10 << 62
    value |= random & ((1 << 62) - 1)
    return uuid.UUID(int=value)


def new(prefix: str) -> str:
    """Make a new id; `prefix` is one of the constants of this module."""
    return prefix + str(_uuid7())


def is_valid(prefix: str, text: str) -> bool:
    """Whether `text` is the canonical form of an id with that prefix."""
    return text.startswith(prefix) and _UUID_TEXT.fullmatch(text, len(prefix)) is not None


def trace_id() -> str:
    """Make a W3C trace id: 32 lowercase hexadecimal digits, not all zero."""
    return os.urandom(16).hex()
