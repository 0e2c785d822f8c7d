"""One call at one target: look at the breaker, wait for the limit, take the permit, call; and again where that may help."""

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import Struct

from dayshift.domain import clock
from dayshift.domain.effect import CallUsage
from dayshift.domain.events import LlmLimitWaited
from dayshift.domain.jitter import full_jitter
from dayshift.llm.asking import Caller, Story
from dayshift.llm.breakers import Open, Permit
from dayshift.llm.budgets import NO_HOLD, BudgetHold
from dayshift.llm.exchange import Incoming, LlmCall, NoAnswer, Reply, Send
from dayshift.llm.formats.measure import BYTES_A_TOKEN
from dayshift.llm.interrupting import Interrupted, interrupted_by
from dayshift.llm.limits import Ask, LimitBusy, Reservation
from dayshift.llm.routing import Route, Target
from dayshift.llm.shared import Shared
from dayshift.llm.verdicts import Verdict, verdict_of_error
from dayshift.telemetry import emit

BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS = 0.5, 8.0
REFUSED_CAP_SECONDS = 30.0
MOST_REFUSALS = 20
SHORT_SECONDS = 2.0
MOST_RESTARTS = 2


class _Turn(Struct, frozen=True):
    """Leave to call: by the limit, the budgets, and the breaker."""

    reservation: Reservation
    hold: BudgetHold
    permit: Permit


class OneTarget:
    """`story` is told what was tried."""

    def __init__(
        self, target: Target, *, of: Shared, route: Route, caller: Caller, call: LlmCall, send: Send, story: Story
    ) -> None:
        self._target = target
        self._of = of
        self._route = route
        self._caller = caller
        self._call = call
        self._send = send
        self._story = story

    async def answer(self, *, has_next: bool, degraded: str | None = None) -> Reply | None:
        """Its answer, or its refusal that is final. None: it is not to be had."""
        failures = 0
        while failures < self._target.max_attempts and self._story.refusals < MOST_REFUSALS:
            if failures and not await self._waited_to_retry(failures, has_next=has_next):
                break
            turn = await self._turn(has_next=has_next)
            if turn is None:
                return None
            incoming, verdict = await self._tried(turn)
            if incoming is not None and _is_settled(verdict, has_next=has_next):
                return self._reply(incoming, turn, degraded=degraded, is_ok=verdict.kind == "ok")
            self._story.tried(self._target.name, incoming, verdict)
            if verdict.kind == "final" or not self._may_repeat(verdict):
                return None
            if verdict.kind == "limit":
                self._story.refusals += 1
                if not await self._waited_for_room(has_next=has_next):
                    return None
            else:
                failures += 1
        return None

    def _may_repeat(self, verdict: Verdict) -> bool:
        """A call that adds to what the provider keeps may have added, unless it was refused or never left."""
        return not self._call.question.adds_there or verdict.kind == "limit" or verdict.is_unsent

    async def _turn(self, *, has_next: bool) -> _Turn | None:
        """Leave to call: by the breaker, the limit, the budgets, and the breaker again. None: not before the next target should be
        tried. Raises BudgetSpent.
        """
        breakers, rule = self._of.breakers, self._target.breaker
        refusal = breakers.look(self._target.provider, self._target.model, rule)
        if refusal is not None and not has_next and refusal.after_seconds <= SHORT_SECONDS:
            await asyncio.sleep(refusal.after_seconds)  # it is being tried out again: better a moment late than failed
            refusal = breakers.look(self._target.provider, self._target.model, rule)
        if refusal is None:
            reservation = await self._reserved(has_next=has_next)
            if reservation is None:
                return None
            turn: _Turn | Open | None = None
            try:
                turn = await self._permitted(reservation)
            finally:
                if not isinstance(turn, _Turn):
                    reservation.give_back()
            if isinstance(turn, _Turn):
                return turn
            refusal = turn
        self._story.passed_over(self._target.name, "its breaker is open", refusal.after_seconds)
        return None

    async def _permitted(self, reservation: Reservation) -> _Turn | Open:
        hold, permit = await self._held(reservation), None
        try:
            permit = await self._of.breakers.permit(self._target.provider, self._target.model, self._target.breaker)
        finally:
            if not isinstance(permit, Permit):
                hold.give_back()
        return _Turn(reservation, hold, permit) if isinstance(permit, Permit) else permit

    async def _held(self, reservation: Reservation) -> BudgetHold:
        """The budgets' leave. Asked for after the limit's, so that a long line before the provider holds no money."""
        target, spender, prices = self._target, self._caller.spender, self._of.prices
        if self._caller.is_approved or not self._of.budgets.apply_to(spender):
            return NO_HOLD
        await prices.ready()
        waiter = reservation.waiter
        most_output = self._call.question.max_output_tokens
        output_tokens = waiter.output_tokens if most_output is None else most_output
        estimate_usd = prices.estimate_usd(
            target.provider,
            target.model,
            target.base_url,
            input_tokens=waiter.input_tokens,
            output_tokens=output_tokens,
        )
        tokens = waiter.input_tokens + output_tokens
        return await self._of.budgets.reserve(spender, estimate_usd, tokens, what=target.name)

    async def _reserved(self, *, has_next: bool) -> Reservation | None:
        """The limit's leave. None: it would take too long, or the breaker has opened meanwhile."""
        try:
            async with interrupted_by(self._of.breakers.opened(self._target.provider, self._target.model)):
                reservation = await self._of.limiter.reserve(self._ask(has_next=has_next))
            return self._waited(reservation)
        except LimitBusy as busy:
            self._story.passed_over(
                self._target.name, f"its limit is used for {busy.wait_seconds:.1f} s", busy.wait_seconds
            )
        except Interrupted:
            self._story.passed_over(self._target.name, "its breaker has opened", self._target.breaker.open)
        return None

    def _waited(self, reservation: Reservation) -> Reservation:
        emit(LlmLimitWaited(provider=self._target.provider, seconds=reservation.waited_seconds))
        self._story.waited_seconds += reservation.waited_seconds
        return reservation

    def _ask(self, *, has_next: bool) -> Ask:
        caller, question = self._caller, self._call.question
        return Ask(
            provider=self._target.provider,
            model=self._target.model,
            credentials=tuple(credential.id for credential in self._target.credentials),
            limits=self._target.limits,
            is_per_model=self._target.is_per_model,
            agent=caller.agent,
            tenant=caller.tenant,
            weight=self._of.settings().tenant(caller.tenant).weight,
            priority=caller.priority,
            input_tokens=self._input_tokens(),
            max_output_tokens=question.max_output_tokens,
            max_wait_seconds=self._route.max_wait_seconds if has_next else None,
            deadline_mono=caller.deadline_mono,
        )

    async def _tried(self, turn: _Turn) -> tuple[Incoming | None, Verdict]:
        """Call once, and tell limiter, budgets and breaker what came of it, but for what went well."""
        self._story.attempts += 1
        if self._story.asks(self._target.name):
            self._of.retries.called(self._target.provider)
        incoming: Incoming | None = None
        verdict: Verdict | None = None
        try:
            incoming = await self._send(self._target.outgoing(self._call, turn.reservation.credential))
            verdict = incoming.verdict(self._call.api)
        except NoAnswer as none:
            verdict = verdict_of_error(none.error)
        finally:
            if verdict is None:  # the caller was cancelled, and nobody knows what the provider counts
                turn.reservation.settle(input_tokens=None, output_tokens=None)
                turn.hold.settle(None, None)
                turn.permit.settle(None)
        if incoming is not None:
            turn.reservation.heard(dict(incoming.headers))
        if verdict.kind != "ok":
            turn.hold.give_back()  # no answer, nothing to record, so nothing that a budget counts
            self._not_ok(turn.reservation, turn.permit, incoming, verdict)
        return incoming, verdict

    def _not_ok(self, reservation: Reservation, permit: Permit, incoming: Incoming | None, verdict: Verdict) -> None:
        if verdict.kind == "limit":
            reservation.refused(
                retry_after_seconds=verdict.retry_after_seconds, headers=dict(incoming.headers if incoming else [])
            )
        elif verdict.is_unsent:
            reservation.give_back()
        elif incoming is None:
            reservation.settle(input_tokens=None, output_tokens=None)
        else:
            reservation.settle(input_tokens=0, output_tokens=0)
        permit.settle(verdict.failed)

    async def _waited_to_retry(self, failures: int, *, has_next: bool) -> bool:
        """Wait before another try. False: there have been enough, or the provider wants to be left alone for longer than it takes
        to ask the next.
        """
        if has_next and (self._story.told_seconds or 0.0) > self._route.max_wait_seconds:
            return False
        if not await self._of.retries.may_retry(self._target.provider):
            return False
        return await self._slept(full_jitter(BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS, failures))

    async def _waited_for_room(self, *, has_next: bool) -> bool:
        """After a 429. Where the limits are known the limiter knows how long, and the next turn waits; where nobody has told them,
        each call waits by itself, longer each time. False: the next target is sooner to be had.
        """
        if self._target.limits.are_known:
            return True
        seconds = full_jitter(BACKOFF_BASE_SECONDS, REFUSED_CAP_SECONDS, self._story.refusals)
        if has_next and max(seconds, self._story.told_seconds or 0.0) > self._route.max_wait_seconds:
            return False
        return await self._slept(seconds)

    async def _slept(self, seconds: float) -> bool:
        """So long, and at least as long as the provider wished. False: not before the deadline."""
        seconds = max(seconds, self._story.told_seconds or 0.0)
        if seconds > self._caller.deadline_mono - clock.monotonic_seconds():
            return False
        await asyncio.sleep(seconds)
        return True

    def _reply(
        self,
        incoming: Incoming,
        turn: _Turn,
        *,
        degraded: str | None,
        is_ok: bool,
    ) -> Reply:
        incoming.headers += [("dayshift-target", self._target.name), ("dayshift-attempts", str(self._story.attempts))]
        if degraded is not None:
            incoming.headers.append(("dayshift-degraded", degraded))
        if not is_ok:
            incoming.headers.append(("x-should-retry", "false"))
            return Reply(incoming)
        settle = _Settlement(self._of, turn, self._priced)
        if incoming.opening is None:
            settle(incoming.usage(self._call.api), False)
        return Reply(
            incoming,
            price=self._priced,
            settle=settle,
            patience=self._target.patience,
            waited_seconds=self._story.waited_seconds,
            may_restart=self._route.restarts_streams and len(self._story.broken_at) < MOST_RESTARTS,
            broken_at=(*self._story.broken_at, self._target.name),
        )

    def _input_tokens(self) -> int:
        return max(1, len(self._call.body) // BYTES_A_TOKEN)

    def _priced(self, usage: CallUsage) -> CallUsage:
        """The usage with its cost; the input of a call whose provider did not say is what was asked for it."""
        input_tokens = usage.input_tokens
        if usage.is_estimated and not input_tokens:
            input_tokens = self._input_tokens()
        usage = msgspec.structs.replace(usage, provider=self._target.provider, input_tokens=input_tokens)
        return self._of.prices.priced(usage, asked=self._target.model, base_url=self._target.base_url)


def _is_settled(verdict: Verdict, *, has_next: bool) -> bool:
    """Whether what came is the answer to hand on, good or bad."""
    return verdict.kind == "ok" or (verdict.kind == "final" and not (verdict.may_help_elsewhere and has_next))


class _Settlement:
    """Tells limiter, budgets and breaker how a call that was answered went, once, from whichever thread."""

    def __init__(self, shared: Shared, turn: _Turn, price: Callable[[CallUsage], CallUsage]) -> None:
        self._shared = shared
        self._turn = turn
        self._price = price

    def __call__(self, usage: CallUsage | None, is_broken: bool) -> None:
        self._shared.on_loop(lambda: self._settle(usage, is_broken))

    def _settle(self, usage: CallUsage | None, is_broken: bool) -> None:
        turn = self._turn
        if usage is None or not usage.input_tokens:
            turn.reservation.settle(input_tokens=None, output_tokens=None)
        else:
            turn.reservation.settle(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
        paid = None if usage is None or turn.hold is NO_HOLD else self._price(usage)
        if paid is None or not paid.input_tokens:
            turn.hold.settle(None, None)
        else:
            turn.hold.settle(None if paid.unpriced_calls else paid.cost_usd, paid.tokens)
        turn.permit.settle(is_broken)
