"""While the plane is away each worker uses its share: the limit over the number of workers that were last heard of.

The same pace as in the plane (`_limit_accounts.lua`), by this machine's clock. A bucket begins empty, as what the others
used last is not known.
"""

from collections.abc import Mapping

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.provider_settings import ProviderLimits
from dayshift.hotplane.limits import BURST_SHARE, LimitPlace
from dayshift.llm.limits.asks import Waiter

LOOK_AGAIN_SECONDS = 0.5


class _Bucket:
    __slots__ = ("at", "balance", "burst", "rate")

    def __init__(self, now: float) -> None:
        self.balance, self.at = 0.0, now
        self.burst = self.rate = 0.0

    def set_pace(self, limit: float, window_seconds: float, now: float) -> None:
        """`limit` is this worker's share a minute."""
        self._refill(now)
        most = limit * window_seconds / 60
        self.burst = max(1.0, BURST_SHARE * most)
        self.rate = max(most - self.burst, most / 2) / window_seconds

    def wait_seconds(self, amount: float, now: float) -> float:
        self._refill(now)
        missing = min(amount, self.burst) - self.balance
        return missing / self.rate if missing > 1e-6 else 0.0

    def take(self, amount: float) -> None:
        self.balance -= amount

    def _refill(self, now: float) -> None:
        self.balance = min(self.burst, self.balance + (now - self.at) * self.rate)
        self.at = now


class Share:
    """One worker's own accounts of a line."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, int], _Bucket] = {}

    def take(
        self, waiter: Waiter, place: LimitPlace, open_calls: Mapping[str, int], workers: int
    ) -> tuple[str | None, float]:
        """The credential by which it may start now, or None and how many seconds to wait."""
        now, limits = monotonic_seconds(), place.limits
        best_seconds = LOOK_AGAIN_SECONDS
        for credential in place.credentials:
            if limits.concurrent and open_calls.get(credential, 0) >= max(1, limits.concurrent // workers):
                continue
            buckets = self._paced(credential, limits, workers, now)
            amounts = _amounts(waiter)
            wait_seconds = max(
                (bucket.wait_seconds(amounts[kind], now) for kind, bucket in buckets.items()), default=0.0
            )
            if wait_seconds <= 0:
                for kind, bucket in buckets.items():
                    bucket.take(amounts[kind])
                return credential, 0.0
            best_seconds = min(best_seconds, wait_seconds)
        return None, best_seconds

    def settle(self, waiter: Waiter, credential: str, requests: int, input_tokens: int, output_tokens: int) -> None:
        """What was used replaces what was reserved."""
        used = (requests, input_tokens + output_tokens, input_tokens, output_tokens)
        for kind, reserved in enumerate(_amounts(waiter)):
            bucket = self._buckets.get((credential, kind))
            if bucket is not None:
                bucket.take(used[kind] - reserved)

    def _paced(self, credential: str, limits: ProviderLimits, workers: int, now: float) -> dict[int, _Bucket]:
        found: dict[int, _Bucket] = {}
        for kind, limit in enumerate(_per_minute(limits)):
            if limit:
                bucket = self._buckets.get((credential, kind))
                if bucket is None:
                    bucket = self._buckets[credential, kind] = _Bucket(now)
                bucket.set_pace(limit / workers, limits.window, now)
                found[kind] = bucket
        return found


def _per_minute(limits: ProviderLimits) -> tuple[int | None, ...]:
    return (
        limits.requests_per_minute,
        limits.tokens_per_minute,
        limits.input_tokens_per_minute,
        limits.output_tokens_per_minute,
    )


def _amounts(waiter: Waiter) -> tuple[int, int, int, int]:
    tokens = waiter.input_tokens + waiter.output_tokens
    return 1, tokens, waiter.input_tokens, waiter.output_tokens
