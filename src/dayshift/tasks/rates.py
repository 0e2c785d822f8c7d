"""The limits of a tenant and of each of its users on what they submit, as the settings say at this moment.

While Valkey is away nothing is limited: refusing everybody's work would be worse. Depths and budgets hold meanwhile.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from dayshift.domain.errors import InvalidInput, PlaneAway, Refused
from dayshift.domain.settings import RateLimits, Settings, TenantSettings
from dayshift.hotplane import Plane, RateAnswer, RateLeft, RateWindow
from dayshift.tasks.inputs import TaskRequest

MINUTE_SECONDS: Final = 60
DAY_SECONDS: Final = 86_400


class Quota(Struct, frozen=True, kw_only=True):
    """What is left of a window: `left` until `seconds_to_full` have gone by, then all of `quota` again."""

    name: str
    quota: int
    window_seconds: int
    left: int
    seconds_to_full: int


class Taken(Struct, frozen=True, kw_only=True):
    """What was counted, when by the plane's clock, at which price by agent, and how the limits stand since."""

    at_ms: int = 0
    windows: Sequence[RateWindow] = ()
    cost_of: Mapping[str, int] = {}
    quotas: tuple[Quota, ...] = ()


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

    async def take(self, tenant: str, requests: Sequence[TaskRequest]) -> Taken:
        """Count what these cost against every limit of the tenant and of their users.

        Raises `RateLimited`, and `InvalidInput` (code `over_limit`) when so much can never fit; then nothing is counted.
        """
        settings = self._settings()
        cost_of = {agent: settings.agent(agent).rate_cost for agent in {request.agent for request in requests}}
        cost_by_user = _summed_by_user(requests, cost_of)
        windows = _windows_of(settings.tenant(tenant), tenant, cost_by_user)
        costs = [(window, cost_by_user[window.user]) for window in windows]
        _check_that_they_can_fit(costs)
        if not costs:
            return Taken()
        try:
            answer = await self._plane.take_rates(costs)
        except PlaneAway:
            return Taken()
        quotas = tuple(_quota(window, left) for window, left in zip(windows, answer.windows, strict=True))
        if not answer.taken:
            raise _refusal(windows, answer, quotas)
        return Taken(at_ms=answer.at_ms, windows=windows, cost_of=cost_of, quotas=quotas)

    async def give_back(self, taken: Taken, requests: Sequence[TaskRequest]) -> tuple[Quota, ...]:
        """Of what was taken, count these no more; answers how the limits stand now."""
        if not (requests and taken.windows):
            return taken.quotas
        cost_by_user = _summed_by_user(requests, taken.cost_of)
        costs = [(window, cost_by_user[window.user]) for window in taken.windows]
        try:
            await self._plane.give_rates_back(taken.at_ms, costs)
        except PlaneAway:
            return taken.quotas
        return tuple(
            msgspec.structs.replace(quota, left=quota.left + cost)
            for quota, (_, cost) in zip(taken.quotas, costs, strict=True)
        )


def _summed_by_user(requests: Sequence[TaskRequest], cost_of: Mapping[str, int]) -> Counter[str | None]:
    """What each user's requests cost, and under None what all do."""
    costs = Counter[str | None]()
    for request in requests:
        costs[None] += cost_of[request.agent]
        if request.user is not None:
            costs[request.user] += cost_of[request.agent]
    return costs


def _windows_of(section: TenantSettings, tenant: str, users: Iterable[str | None]) -> list[RateWindow]:
    return [
        window
        for user in users
        for window in _windows(section.limits if user is None else section.user_limits, tenant, user)
    ]


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


def _check_that_they_can_fit(costs: list[tuple[RateWindow, int]]) -> None:
    for window, cost in costs:
        if cost > window.quota:
            raise InvalidInput(
                f"this costs {cost} at once, and can never fit into the limit {window.name!r} of {window.quota}; "
                "send fewer tasks at once, or have the limit raised",
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


def _refusal(windows: Sequence[RateWindow], answer: RateAnswer, quotas: tuple[Quota, ...]) -> RateLimited:
    worst = max(range(len(windows)), key=lambda index: answer.windows[index].fits_in_ms)
    window = windows[worst]
    return RateLimited(
        f"the limit {window.name!r} of {window.quota} tasks in {window.seconds} s is reached; try again when retry_after is over",
        quotas=quotas,
        limit=window.quota,
        retry_after_seconds=math.ceil(answer.windows[worst].fits_in_ms / 1_000),
    )
