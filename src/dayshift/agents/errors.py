"""How an agent says what its failure means. Any other exception is retried up to `max_attempts`."""

import math

from dayshift.domain.errors import WrongUse

LONGEST_WAIT_SECONDS = 31_536_000.0


class Retry(Exception):
    """Try again, after at least so many seconds; without `after` the usual backoff decides.

    It counts as a failure: `max_attempts` bounds it. The message may be the exception that was caught.
    """

    after: float | None = None  # of a subclass that does not call this constructor
    message: str = ""

    def __init__(self, after: float | None = None, message: str | BaseException = "") -> None:
        super().__init__(message)
        if after is not None and not (
            _is_number(after) and math.isfinite(after) and 0 <= after <= LONGEST_WAIT_SECONDS
        ):
            raise WrongUse(f"Retry(after={after!r}): give seconds between 0 and {LONGEST_WAIT_SECONDS:.0f} (a year)")
        self.after = None if after is None else float(after)
        self.message = text_of(message)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Fatal(Exception):
    """Do not try again: the task fails with this message, or the exception that was caught, however many attempts are left."""

    code = "fatal"  # how the dead letter is named
    message: str = ""  # of a subclass that does not call this constructor

    def __init__(self, message: str | BaseException) -> None:
        super().__init__(message)
        self.message = text_of(message)


def text_of(value: object) -> str:
    """`str(value)`, even of a foreign object whose `__str__` fails."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a foreign __str__ may do anything
        return "(its message cannot be read)"
