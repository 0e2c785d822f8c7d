"""How long to wait before trying again. The only place that draws random delays."""

import random

_MAX_DOUBLINGS = 32


def stretched(seconds: float, by: float) -> float:
    """The delay, up to so much of itself longer: a time that is promised is not undercut."""
    return seconds * (1.0 + random.uniform(0.0, by))  # noqa: S311 - spreads load; nothing secret depends on it


def full_jitter(base_seconds: float, cap_seconds: float, failures: int) -> float:
    """A delay drawn evenly from 0 up to `base_seconds` doubled for each failure after the first, at most `cap_seconds`.

    The whole range is used, not a band around its end: callers that failed together come back spread out.
    """
    doublings = min(max(failures - 1, 0), _MAX_DOUBLINGS)
    ceiling = min(cap_seconds, base_seconds * 2.0**doublings)
    return random.uniform(0.0, max(ceiling, 0.0))  # noqa: S311 - spreads load; nothing secret depends on it
