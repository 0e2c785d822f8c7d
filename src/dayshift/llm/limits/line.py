"""One worker's own line for the accounts of a provider: who waits, what is asked of the plane, and when again.

One question to the plane is under way at a time. It names the calls at the front, in their order; the answer says which may start,
and when to ask again for the first that must wait: it is this worker's head in the plane now. Whoever comes meanwhile
waits for the answer and goes with the next question. A call that comes behind the head asks nothing.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextvars import Context

from msgspec import structs

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import DayshiftError, PlaneAway
from dayshift.domain.events import Event, Fault
from dayshift.hotplane.limits import LimitAnswer, LimitPlace
from dayshift.llm.limits.asking import Asked, call_of
from dayshift.llm.limits.asks import Ask, Grant, LimitBusy, Waiter
from dayshift.llm.limits.in_hand import Hand
from dayshift.llm.limits.own_line import OwnLine
from dayshift.llm.limits.share import Share
from dayshift.llm.limits.used import Used

ASKED_AT_ONCE = 16
EARLY_SECONDS, FAR_EARLY_SECONDS = 0.015, 0.05  # ask so long before the time: less than what the plane grants ahead
LEAST_PAUSE_SECONDS = 0.002
LEAST_WAIT_SECONDS = 0.005


class Line:
    """All waiters of a worker that compete for the same pool of credentials."""

    def __init__(
        self,
        plane: Asked,
        place: LimitPlace,
        hand: Hand,
        *,
        estimate: Callable[[Ask], tuple[int, int]],
        not_wanted: "Callable[[Line, Waiter, Grant], None]",
        emit: Callable[[Event], None],
    ) -> None:
        self._place = place
        self._hand = hand
        self._estimate = estimate
        self._not_wanted = not_wanted
        self._emit = emit
        self.open_calls: dict[str, int] = {}
        self.used = Used()
        self.alive_workers = 1
        self._plane = plane
        self._own = OwnLine()
        self._share = Share()
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._told_mono: float | None = None
        self._registered: Waiter | None = None
        self._asks_again = False

    @property
    def name(self) -> str:
        """The line's name in the plane."""
        return self._place.line

    def used_ratios(self) -> Iterator[tuple[str, float]]:
        """What this worker used of each limit in the last minute."""
        return self.used.ratios(self._place.limits, len(self._place.credentials))

    @property
    def share(self) -> Share:
        """What this worker uses while the plane is away."""
        return self._share

    @property
    def is_short(self) -> bool:
        """Whether somebody may be waiting for what a call gives back."""
        return len(self._own) > 0 or self._asking is not None or self._place.limits.concurrent is not None

    def at_once(self, waiter: Waiter) -> Grant | None:
        """A grant that is in hand; None: the call has to wait for one."""
        if waiter.ask.limits is not self._place.limits:
            self._place = structs.replace(self._place, limits=waiter.ask.limits)
        if len(self._own) or self._asking is not None:
            return None
        return self._hand.take(waiter, self._place)

    async def wait(self, waiter: Waiter) -> Grant:
        """Until it may start. Cancelled, it leaves the line, and gives back what it was granted meanwhile."""
        ask = waiter.ask
        longest = ask.longest_wait_seconds(waiter.since_mono)
        if longest is not None:
            self._refuse_if_busy(ask, longest)
        self._own.add(waiter)
        self._look(waiter)
        if longest is None:
            return await waiter.future
        expiry = asyncio.get_running_loop().call_later(longest, self._expire, waiter)
        try:
            return await waiter.future
        finally:
            expiry.cancel()

    def left(self, waiter: Waiter) -> None:
        """A waiter is gone. If it is our head in the plane, the next one takes its place."""
        self._own.discard(waiter)
        if waiter is self._registered:
            self.ask_again()

    def hear(self, wait_seconds: float) -> None:
        """The plane pushes: the head may start in so long."""
        self._ask_early(wait_seconds)

    def ask_again(self) -> None:
        """Ask the plane now, e.g. as a push may have been missed."""
        self._ask_in(0.0)

    async def close(self) -> None:
        """Ask no more; those who wait are refused."""
        self._hand.empty()
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        while (waiter := self._own.pop(monotonic_seconds())) is not None:
            self._refuse(waiter, 1.0)

    def _look(self, waiter: Waiter) -> None:
        """Ask, if this newcomer is worth a question."""
        if self._asking is not None:
            return
        if self._timer is None or self._own.first(monotonic_seconds()) is waiter:
            self._ask_in(0.0)

    def _refuse_if_busy(self, ask: Ask, longest_seconds: float) -> None:
        """Behind a head that knows its time, the wait can be told without a question."""
        if self._told_mono is None or not len(self._own):
            return
        wait_seconds = max(0.0, self._told_mono - monotonic_seconds()) + self._own.cost_ms / 1000 / len(
            self._place.credentials
        )
        first = self._registered
        if wait_seconds > longest_seconds and first is not None and first.ask.priority >= ask.priority:
            raise LimitBusy(ask.provider, wait_seconds)

    def _expire(self, waiter: Waiter) -> None:
        if not waiter.future.done():
            told = self._told_mono or 0.0
            self._refuse(waiter, max(1.0, told - monotonic_seconds()))
            self.left(waiter)

    def _refuse(self, waiter: Waiter, wait_seconds: float) -> None:
        if not waiter.future.done():
            waiter.future.set_exception(LimitBusy(waiter.ask.provider, wait_seconds))

    def _ask_early(self, wait_seconds: float) -> None:
        """A moment before the time, as the plane grants ahead; but never without a pause."""
        head = self._registered
        early = FAR_EARLY_SECONDS if head is not None and head.is_large else EARLY_SECONDS
        self._ask_in(max(wait_seconds - early, min(wait_seconds, LEAST_WAIT_SECONDS)))

    def _ask_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asking is not None:
            self._asks_again = True
        elif seconds <= LEAST_PAUSE_SECONDS:
            self._asking = asyncio.create_task(self._ask(), name="limit-line", context=Context())
        else:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._ask_in, 0.0)

    async def _ask(self) -> None:
        """Until nobody is left who could start now, or until the plane told when."""
        wait_seconds: float | None = None
        try:
            while True:
                self._asks_again = False
                wait_seconds = await self._asked_once()
                if not self._asks_again and (wait_seconds is not None or not len(self._own)):
                    break
        except Exception as error:  # noqa: BLE001 - one bad answer must not leave everybody waiting for ever
            wait_seconds = 1.0
            self._emit(Fault.of("llm.limits", error))
        finally:
            self._asking = None
        if len(self._own):
            self._ask_early(wait_seconds or 0.0)

    async def _asked_once(self) -> float | None:
        """Ask for those at the front. Answers how long the first of those who are left has to wait."""
        now = monotonic_seconds()
        front: list[Waiter] = []
        while len(front) < ASKED_AT_ONCE and (waiter := self._own.pop(now)) is not None:
            waiter.estimate(self._estimate(waiter.ask))
            front.append(waiter)
        if not front:
            await self._leave()
            return None
        try:
            answers = await self._plane.limit_reserve(self._place, [call_of(waiter, now) for waiter in front])
        except PlaneAway:
            return self._shared_out(front)
        except BaseException:
            self._put_back(front)
            raise
        return self._take(front, answers)

    def _take(self, front: list[Waiter], answers: list[LimitAnswer]) -> float | None:
        wait_seconds: float | None = None
        self._registered = None
        self._told_mono = None
        for waiter, answer in zip(front, answers, strict=False):
            if answer.virtual is not None:
                self._own.hear(waiter, answer.virtual)
            if answer.kind == "granted" and answer.credential is not None:
                self._grant(waiter, Grant(answer.credential, is_shared=True), answer.wait_ms / 1000)
            elif answer.kind == "busy":
                self._refuse(waiter, answer.wait_ms / 1000)
            else:
                wait_seconds = answer.wait_ms / 1000
                self._hand.empty()
                self._registered = waiter
                self._told_mono = monotonic_seconds() + wait_seconds if answer.kind == "waits" else None
        settled = len(answers) - (wait_seconds is not None)
        self._put_back(front[settled:])
        if self._registered is not None and (self._registered.future.done() or self._is_passed_over(front)):
            self._asks_again = True
        return wait_seconds

    def _is_passed_over(self, front: list[Waiter]) -> bool:
        """Whether somebody who came while the plane was asked stands before those it was asked for."""
        first = self._own.first(monotonic_seconds())
        return first is not None and first not in front

    def _put_back(self, waiters: list[Waiter]) -> None:
        for waiter in reversed(waiters):
            self._own.put_back(waiter)

    def _grant(self, waiter: Waiter, grant: Grant, start_seconds: float) -> None:
        if start_seconds > 0.0005:
            asyncio.get_running_loop().call_later(start_seconds, self._start, waiter, grant)
        else:
            self._start(waiter, grant)

    def _start(self, waiter: Waiter, grant: Grant) -> None:
        if waiter.future.done():
            self._not_wanted(self, waiter, grant)
        else:
            waiter.future.set_result(grant)

    async def _leave(self) -> None:
        if self._registered is None:
            return
        self._registered = self._told_mono = None
        try:
            await self._plane.limit_leave(self.name, self._place.head)
        except DayshiftError:
            return  # a silent head is skipped

    def _shared_out(self, front: list[Waiter]) -> float | None:
        """The plane is away: start those for whom there is room in our share."""
        self._registered = None
        open_calls = dict(self.open_calls)
        for number, waiter in enumerate(front):
            credential, wait_seconds = self._share.take(waiter, self._place, open_calls, max(1, self.alive_workers))
            if credential is None:
                self._told_mono = monotonic_seconds() + wait_seconds
                self._put_back(front[number:])
                return wait_seconds
            open_calls[credential] = open_calls.get(credential, 0) + 1
            self._grant(waiter, Grant(credential, is_shared=False), 0.0)
        return None
