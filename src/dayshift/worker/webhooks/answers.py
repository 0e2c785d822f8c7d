"""What comes of a call to a receiver."""

from email.utils import parsedate_to_datetime

from msgspec import Struct

from dayshift.domain.clock import now

LONGEST_RETRY_AFTER_SECONDS = 86_400.0


class Unreachable(Exception):
    """There was no answer. The message says why, without the path and the query of the address."""


class NotConnected(Unreachable):
    """Nobody is there at this address; the receiver may have another."""


class Answer(Struct, frozen=True):
    """What the receiver said. `retry_after_seconds`: when it asks to be called again."""

    status: int
    retry_after_seconds: float | None = None


def retry_after_seconds(said: str | None) -> float | None:
    """Seconds or a date, as HTTP has it; what makes no sense is as if it was not said."""
    if said is None:
        return None
    try:
        seconds = float(said) if said.strip().isdigit() else (parsedate_to_datetime(said) - now()).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)
