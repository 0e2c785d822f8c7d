"""How much of its limits a worker used in the last minute, for whoever watches them.

What a call really used counts, in the moment in which it ended: so of calls that last long, the last minute's were begun before.
"""

from collections import Counter, deque
from collections.abc import Iterator

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.provider_settings import ProviderLimits

SLICE_SECONDS, SLICES = 5, 12
_KINDS = ("requests", "tokens", "input_tokens", "output_tokens")


class Used:
    """Of one line."""

    def __init__(self) -> None:
        self._slices: deque[tuple[int, Counter[str]]] = deque(maxlen=SLICES + 1)

    def add(self, requests: int, input_tokens: int, output_tokens: int) -> None:
        """A call has ended."""
        number = int(monotonic_seconds() // SLICE_SECONDS)
        if not self._slices or self._slices[-1][0] != number:
            self._slices.append((number, Counter()))
        self._slices[-1][1].update(
            requests=requests,
            tokens=input_tokens + output_tokens,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )

    def ratios(self, limits: ProviderLimits, credentials: int) -> Iterator[tuple[str, float]]:
        """Of each limit a minute that is known, the share that was used."""
        first = int(monotonic_seconds() // SLICE_SECONDS) - SLICES
        used = sum((counts for number, counts in self._slices if number > first), Counter[str]())
        for kind in _KINDS:
            limit = getattr(limits, f"{kind}_per_minute")
            if limit:
                yield kind, used[kind] / (limit * credentials)
