"""Grants in hand: taken while there is plenty, for calls that have yet to come, so that those ask nobody.

    a call comes ── one in hand fits ──▶ it starts at once
         └── none ──▶ it asks the plane, as every call does whose limit is short

How many are kept goes by how often calls come: as many as come within a quarter of a second, none where they are rare. They are renewed
beside the calls, several with one question, and go back unused after half a second. The plane gives them only while nobody waits and half
of every bucket stays for others (`limit_reserve.lua`); when it says no, calls ask one by one for a while. So a limit that is nearly
used knows none of this: there a call costs a question, and waits in turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context

from msgspec import Struct

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import PlaneAway
from dayshift.domain.events import Event, Fault
from dayshift.hotplane.limits import LimitCall, LimitPlace
from dayshift.llm.limits.asking import Asked
from dayshift.llm.limits.asks import Grant, Waiter

MOST = 16
KEPT_SECONDS = (
    0.5  # with the moment that a confirmation may take, less than the second after which the plane takes back
)
SEEN_SECONDS = 0.5
SOON_SECONDS = 0.005  # the call that took one is sent first
REFUSED_SECONDS = 0.25

_Needs = tuple[int, int, int]  # input, output, first output


class _InHand(Struct, frozen=True):
    id: str
    credential: str
    needs: _Needs
    until_mono: float


class Hand:
    """One line's. `name` makes names for reservations; `give_back` tells the plane of one that was not used."""

    def __init__(
        self, plane: Asked, *, name: Callable[[], str], give_back: Callable[[str], None], emit: Callable[[Event], None]
    ) -> None:
        self._plane = plane
        self._name = name
        self._give_back = give_back
        self._emit = emit
        self._grants: deque[_InHand] = deque()
        self._came_mono: deque[float] = deque(maxlen=2 * MOST)
        self._needs: deque[_Needs] = deque(maxlen=2 * MOST)
        self._place: LimitPlace | None = None
        self._refused_until_mono = 0.0
        self._renewal: asyncio.TimerHandle | asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None

    def take(self, waiter: Waiter, place: LimitPlace) -> Grant | None:
        """The grant for a call that came, which takes its name; None: it has to ask."""
        now, needs = monotonic_seconds(), _needs_of(waiter)
        if place is not self._place:  # other limits, other amounts
            self.empty()
            self._place = place
        self._came_mono.append(now)
        self._needs.append(needs)
        found = self._fitting(needs, now)
        self._renew_soon(now)
        if found is None:
            return None
        self._grants.remove(found)
        waiter.id = found.id
        return Grant(found.credential, is_shared=True)

    def empty(self) -> None:
        """Give all back: somebody waits, or nobody will come."""
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        while self._grants:
            self._give_back(self._grants.popleft().id)

    def _fitting(self, needs: _Needs, now: float) -> _InHand | None:
        for one in self._grants:
            if one.until_mono > now and all(has >= need for has, need in zip(one.needs, needs, strict=True)):
                return one
        return None

    def _wanted(self, now: float) -> int:
        return min(MOST, sum(now - came < SEEN_SECONDS for came in self._came_mono) // 2)

    def _renew_soon(self, now: float) -> None:
        if self._renewal is None and now >= self._refused_until_mono and len(self._grants) <= self._wanted(now) // 2:
            self._renewal = asyncio.get_running_loop().call_later(SOON_SECONDS, self._begin_renewal, context=Context())

    def _begin_renewal(self) -> None:
        self._renewal = asyncio.create_task(self._renew(), name="limit-hand", context=Context())

    async def _renew(self) -> None:
        try:
            await self._asked(monotonic_seconds())
        except PlaneAway:
            self._refused_until_mono = monotonic_seconds() + REFUSED_SECONDS
        except Exception as error:  # noqa: BLE001 - calls go on asking for themselves
            self._refused_until_mono = monotonic_seconds() + REFUSED_SECONDS
            self._emit(Fault.of("llm.limits", error))
        self._renewal = None

    async def _asked(self, now: float) -> None:
        place, missing = self._place, self._wanted(now) - len(self._grants)
        if place is None or missing <= 0:
            return
        given, made, first = (_roomy(max(amounts)) for amounts in zip(*self._needs, strict=True))
        calls = [
            LimitCall(self._name(), "", 1.0, 0, 0.0, 0.0, given, made, first, is_in_hand=True) for _ in range(missing)
        ]
        answers = await self._plane.limit_reserve(place, calls)
        for call, answer in zip(calls, answers, strict=False):
            if answer.kind == "granted" and answer.credential is not None:
                self._grants.append(_InHand(call.id, answer.credential, (given, made, first), now + KEPT_SECONDS))
            else:
                self._refused_until_mono = now + REFUSED_SECONDS
        if self._grants and self._expiry is None:
            self._expiry = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._expire)

    def _expire(self) -> None:
        self._expiry, now = None, monotonic_seconds()
        while self._grants and self._grants[0].until_mono <= now:
            self._give_back(self._grants.popleft().id)
        if self._grants:
            left_seconds = self._grants[0].until_mono - now
            self._expiry = asyncio.get_running_loop().call_later(left_seconds, self._expire)


def _needs_of(waiter: Waiter) -> _Needs:
    return waiter.input_tokens, waiter.output_tokens, waiter.ask.max_output_tokens or 0


def _roomy(tokens: int) -> int:
    """The next power of two: calls of one kind differ a little."""
    return 1 << (tokens - 1).bit_length() if tokens else 0
