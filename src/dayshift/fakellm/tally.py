"""What was asked and what was answered, by content, so that a test can ask what was paid for.

A call's key is the sha256 of the canonical JSON (sorted keys, no spaces) of [path, body], the body without the fields
that change nothing about the answer: streaming, and labels for the provider's books.

A call is *answered* once the last byte of a 200 was handed to the kernel: a caller would pay for it. *Refused* is one
that got an error by script or for its form; *aborted* one whose caller hung up before the answer was out.
"""

import hashlib
from typing import Any

import msgspec

IGNORED_FIELDS = frozenset(
    {"stream", "stream_options", "metadata", "user", "safety_identifier", "prompt_cache_key", "store"}
)
SHOWN_CHARACTERS = 200


class CallCount(msgspec.Struct):
    """One content: how often it was asked and answered."""

    key: str
    path: str
    last_message: str
    n_received: int = 0
    n_answered: int = 0


class Tally:
    """All counts since the start or the last reset."""

    def __init__(self) -> None:
        self.received = 0
        self.answered = 0
        self.refused = 0
        self.aborted = 0
        self._by_key: dict[str, CallCount] = {}

    def open_call(self, path: str, body: Any, last_message: str) -> "OpenCall":
        """Count a call as received; its end is told to what is returned."""
        key = content_key(path, body)
        count = self._by_key.get(key)
        if count is None:
            count = self._by_key[key] = CallCount(key, path, last_message[:SHOWN_CHARACTERS])
        count.n_received += 1
        self.received += 1
        return OpenCall(self, count)

    def calls(self) -> list[CallCount]:
        """Every content in the order of its first call."""
        return list(self._by_key.values())

    @property
    def open_calls(self) -> int:
        """What was received and has not ended."""
        return self.received - self.answered - self.refused - self.aborted

    def stats(self) -> dict[str, int]:
        """The sums; `open` is what was received and has not ended."""
        return {
            "received": self.received,
            "answered": self.answered,
            "refused": self.refused,
            "aborted": self.aborted,
            "open": self.open_calls,
        }


class OpenCall:
    """A call that has not ended. It keeps the tally it was opened in, so a reset leaves no stray end behind."""

    __slots__ = ("_count", "_tally")

    def __init__(self, tally: Tally, count: CallCount) -> None:
        self._tally = tally
        self._count = count

    def end(self, *, paid: bool) -> None:
        """The answer is out: to be paid for, or an error."""
        if paid:
            self._tally.answered += 1
            self._count.n_answered += 1
        else:
            self._tally.refused += 1

    def abort(self) -> None:
        """The caller hung up."""
        self._tally.aborted += 1


def content_key(path: str, body: Any) -> str:
    """The key of a call's content."""
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name not in IGNORED_FIELDS}
    return hashlib.sha256(msgspec.json.encode([path, body], order="sorted")).hexdigest()
