"""How an agent says what its failure means. Any other exception is retried up to `max_attempts`."""

import math

from dayshift.domain.errors import WrongUse

LONGEST_WAIT_SECONDS = 31_536_000.0


class Retry(Exception):
    """Try again, after at least so many seconds; without `after` the usual backoff decides.

    It counts as a failure: `max_attempts` bounds it.
    """

    def __init__(self, after: float | None = None, message: str = "") -> None:
        super().__init__(message)
        if after is not None and not (math.isfinite(after) and 0 <= after <= LONGEST_WAIT_SECONDS):
            raise WrongUse(f"Retry(after={after!r}): give seconds between 0 and {LONGEST_WAIT_SECONDS:.0f} (a year)")
        self.after = None if after is None else float(after)
        self.message = message


class Fatal(Exception):
    """Do not try again: the task fails with this message, however many attempts are left."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
