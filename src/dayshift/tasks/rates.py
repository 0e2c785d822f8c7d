"""The limits of a tenant and of each of its users on what they submit, as the settings say at this moment.

While Valkey is away nothing is limited: refusing everybody's work would be worse. Depths and budgets hold meanwhile.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from dayshift.domain.errors import InvalidInput, PlaneAway, Refused
from dayshift.domain.settings import RateLimits, Settings
from dayshift.hotplane import Plane, RateAnswer, RateLeft, RateWindow

MINUTE_SECONDS: Final = 60
DAY_SECONDS: Final = 86_400


class Quota(Struct, frozen=True, kw_only=True):
    """What is left of a window: `left` until `seconds_to_full` have gone by, then all of `quota` again."""

    name: str
    quota: int
    window_seconds: int
    left: int
    seconds_to_full: int


class RateLimited(Refused):
    """A limit is reached. `quotas`: how each of them stands."""

    code = "rate_limited"

    def __init__(self, message: str, *, quotas: tuple[Quota, ...], limit: int, retry_after_seconds: float) -> None:
        super().__init__(message, limit=limit, retry_after_seconds=retry_after_seconds)
        self.quotas = quotas


class TenantRates:
    def __init__(self, plane: Plane, settings: Callable[[], Settings]) -> None:
        self._plane = plane
        self._settings = settings

    async def take(self, tenant: str, users: Mapping[str, int], tasks: int) -> tuple[Quota, ...]:
        """Count so many tasks, and of them those of each user, against every limit; answers how these stand (none: no limits).

        Raises `RateLimited`, and `InvalidInput` (code `over_limit`) when so many can never fit; then nothing is counted.
        """
        asked = self._asked(tenant, users, tasks)
        _check_that_they_can_fit(asked)
        if not asked:
            return ()
        try:
            answer = await self._plane.take_rates(asked)
        except PlaneAway:
            return ()
        quotas = tuple(_quota(window, left) for (window, _), left in zip(asked, answer.windows, strict=True))
        if not answer.taken:
            raise _refusal(asked, answer, quotas)
        return quotas

    def _asked(self, tenant: str, users: Mapping[str, int], tasks: int) -> list[tuple[RateWindow, int]]:
        if not tasks:
            return []
        section = self._settings().tenant(tenant)
        asked = [(window, tasks) for window in _windows(section.limits, tenant, None)]
        for user, cost in users.items():
            asked += [(window, cost) for window in _windows(section.user_limits, tenant, user)]
        return asked


def _windows(limits: RateLimits, tenant: str, user: str | None) -> list[RateWindow]:
    whose = "" if user is None else "user-"
    lengths = (
        ("minute", limits.requests_per_minute, MINUTE_SECONDS),
        ("day", limits.requests_per_day, DAY_SECONDS),
    )
    return [
        RateWindow(name=whose + name, tenant=tenant, user=user, quota=quota, seconds=seconds)
        for name, quota, seconds in lengths
        if quota is not None
    ]


def _check_that_they_can_fit(asked: list[tuple[RateWindow, int]]) -> None:
    for window, cost in asked:
        if cost > window.quota:
            raise InvalidInput(
                f"{cost} tasks at once can never fit into the limit {window.name!r} of {window.quota}; send fewer at once",
                code="over_limit",
            )


def _quota(window: RateWindow, left: RateLeft) -> Quota:
    return Quota(
        name=window.name,
        quota=window.quota,
        window_seconds=window.seconds,
        left=left.left,
        seconds_to_full=math.ceil(left.empty_in_ms / 1_000),
    )


def _refusal(asked: list[tuple[RateWindow, int]], answer: RateAnswer, quotas: tuple[Quota, ...]) -> RateLimited:
    worst = max(range(len(asked)), key=lambda index: answer.windows[index].fits_in_ms)
    window = asked[worst][0]
    return RateLimited(
        f"the limit {window.name!r} of {window.quota} tasks in {window.seconds} s is reached; try again when retry_after is over",
        quotas=quotas,
        limit=window.quota,
        retry_after_seconds=math.ceil(answer.windows[worst].fits_in_ms / 1_000),
    )
