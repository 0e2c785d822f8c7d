"""Budgets: nothing is spent that a setting does not allow, by all workers together.

    hold = await budgets.reserve(spender, estimate_usd, estimate_tokens)      raises BudgetSpent, with the numbers
    ... the call ...
    hold.settle(cost_usd, tokens)        what it came to; None: nobody knows, so the estimate stands
    hold.give_back()                     it was never sent

Where no budget is set this costs nothing. Else it is one script of the plane (see hotplane/budgets.py), which counts for all workers;
and one look into the ledger's sums for each counter that this process has not used yet.

**An estimate that does not fit** is refused, and final: its task fails with `budget_spent`, or asks a person, as `on_breach` says. One that would
fit if what others hold came to less waits for them, a while: estimates are mostly too high, and failing a task for money that
nobody will have spent would be wrong. What a call costs beyond its estimate is counted and not undone; so a limit is passed by such
excess at most.

**Without the plane** each worker goes by the ledger's sums, at most a second old, and by what it holds itself. What the others hold at
that moment it does not know, so a limit may be passed by that much. Refusing all calls would turn a budget into an outage, and
counting nothing would turn an outage into money. When the plane is back, every counter is compared with the ledger before it is used.

**Without the ledger** nothing could be recorded that is paid for. A call that needs its sums waits for it, like all effects do; one whose
counters are known goes on. The door raises LedgerAway, as for all that it accepts.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context

from msgspec.structs import replace

from dayshift.domain import clock, ids
from dayshift.domain.budget import Spender, nano_usd
from dayshift.domain.errors import PlaneAway
from dayshift.domain.jitter import full_jitter
from dayshift.domain.patience import until_answered
from dayshift.domain.settings import Settings
from dayshift.domain.task import Started
from dayshift.hotplane import Plane
from dayshift.hotplane.budgets import HOLD_SECONDS, REPEAT_SECONDS, Amount, Held, Hold, Line, Missing, NotHeld
from dayshift.ledger import Ledger
from dayshift.llm.budgets.limits import Limit, counts_tasks, limits_of
from dayshift.llm.budgets.refusals import budget_spent, refusal, refuse_unpriced
from dayshift.llm.budgets.sums import Counter, LedgerSums, counter_of, counters_of

MOST_COUNTERS_KNOWN = 10_000
MAX_WAIT_SECONDS = 30.0
RENEW_SECONDS = HOLD_SECONDS / 3
RENEWED_AT_ONCE = 200
AGAIN_SECONDS = (0.05, 1.0)  # base and cap of the jitter


class BudgetHold:
    """What a call holds until it is settled; the first settlement counts. Any thread may settle."""

    def __init__(self, hold: Hold, settle: Callable[[Hold, Amount], None]) -> None:
        self._hold = hold
        self._settle: Callable[[Hold, Amount], None] | None = settle

    def settle(self, cost_usd: float | None, tokens: int | None) -> None:
        """The call is over, and came to this. None: nobody knows, so what was estimated stands. Returns at once."""
        settle, self._settle = self._settle, None
        if settle is not None:
            held = self._hold.amount
            spent = Amount(
                held.nano_usd if cost_usd is None else nano_usd(cost_usd), held.tokens if tokens is None else tokens
            )
            settle(self._hold, spent)

    def give_back(self) -> None:
        """The call was never sent."""
        self.settle(0.0, 0)


NO_HOLD = BudgetHold(Hold("", Amount(), (), ()), lambda _hold, _spent: None)


class Budgets:
    """One a process, on the loop of its plane. `close` delivers what is left to tell, within its grace."""

    def __init__(self, plane: Plane, ledger: Ledger, settings: Callable[[], Settings]) -> None:
        self._plane = plane
        self._ledger = ledger
        self._sums = LedgerSums(ledger)
        self._settings = settings
        self._open: dict[str, Hold] = {}
        self._compared: set[Counter] = set()  # with the ledger, since the plane was away last
        self._telling: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def spender_of(self, started: Started) -> Spender:
        """Who an attempt spends for. Raises LedgerAway."""
        ancestors: tuple[tuple[str, str], ...] = ()
        if started.depth and counts_tasks(self._settings()):
            ancestors = await self._ledger.spending.ancestors(started.id)
        return Spender.of(started, ancestors)

    def apply_to(self, spender: Spender) -> bool:
        """Whether any budget does, so that an estimate is needed."""
        return bool(limits_of(self._settings(), spender))

    async def reserve(
        self,
        spender: Spender,
        estimate_usd: float | None,
        estimate_tokens: int,
        *,
        what: str = "this model",
        max_wait_seconds: float = MAX_WAIT_SECONDS,
    ) -> BudgetHold:
        """Hold what a call may come to against every budget that applies. `estimate_usd`: None where nobody knows the price of `what`.

        Raises BudgetSpent; WrongUse for a call without a price where dollars are counted.
        """
        limits = limits_of(self._settings(), spender)
        if not limits:
            return NO_HOLD
        if estimate_usd is None:
            refuse_unpriced(limits, what)
        amount = Amount(nano_usd(estimate_usd or 0.0), estimate_tokens)
        hold = await self._held(ids.new("hold_"), amount, limits, max_wait_seconds)
        self._open[hold.id] = hold
        self._keep_renewing()
        loop = asyncio.get_running_loop()
        return BudgetHold(hold, lambda hold, spent: _on(loop, lambda: self._settle(hold, spent)))

    async def check(self, spender: Spender) -> None:
        """Whether there is anything left of this hour, day and month, where a breach is a failure. The last hundredth is nothing: it is
        what remains when no call fits any more. Raises BudgetSpent, LedgerAway.
        """
        applying = limits_of(self._settings(), spender)
        limits = [limit for limit in applying if limit.line.period != "ever" and limit.budget.on_breach == "fail"]
        if limits:
            answer = await self._asked("", Amount(1, 1), [_nearly(limit) for limit in limits])
            if isinstance(answer, NotHeld) and not answer.is_busy:
                raise budget_spent(limits[answer.index], answer, Amount())

    async def close(self, grace_seconds: float = 2.0) -> None:
        """Deliver what is settled, for a while. Closing twice is safe."""
        renewing, self._renewing = self._renewing, None
        if renewing is not None:
            renewing.cancel()
        if self._telling:
            await asyncio.wait(self._telling, timeout=grace_seconds)
        for task in self._telling:
            task.cancel()

    async def _held(self, hold_id: str, amount: Amount, limits: Sequence[Limit], max_wait_seconds: float) -> Hold:
        """Wait for others where that may help."""
        until_mono, tried = clock.monotonic_seconds() + max_wait_seconds, 0
        while True:
            answer = await until_answered(lambda: self._asked(hold_id, amount, limits))
            if isinstance(answer, Held):
                return Hold(hold_id, amount, tuple(limit.line for limit in limits), answer.starts)
            left_seconds = until_mono - clock.monotonic_seconds()
            if not answer.is_busy or left_seconds <= 0:
                raise budget_spent(limits[answer.index], answer, amount)
            tried += 1
            await asyncio.sleep(min(left_seconds, full_jitter(*AGAIN_SECONDS, tried)))

    async def _asked(self, hold_id: str, amount: Amount, limits: Sequence[Limit]) -> Held | NotHeld:
        lines = [limit.line for limit in limits]
        try:
            return await self._asked_of_plane(hold_id, amount, lines)
        except PlaneAway:
            self._compared.clear()
            return await self._asked_of_ledger(amount, lines)

    async def _asked_of_plane(self, hold_id: str, amount: Amount, lines: Sequence[Line]) -> Held | NotHeld:
        now = clock.now()
        counters = [counter_of(line, now) for line in lines]
        unknown: Mapping[int, int] = {
            index: counter[2] for index, counter in enumerate(counters) if counter not in self._compared
        }
        while True:
            sums = await self._sums.of(lines, unknown)
            answer = await self._plane.reserve_budget(hold_id, amount, lines, sums)
            if not isinstance(answer, Missing):
                break
            unknown = answer.starts
        if len(self._compared) > MOST_COUNTERS_KNOWN:
            self._compared.clear()
        self._compared.update(counters)
        return answer

    async def _asked_of_ledger(self, amount: Amount, lines: Sequence[Line]) -> Held | NotHeld:
        now = clock.now()
        counters = [counter_of(line, now) for line in lines]
        spent = await self._sums.lately(lines, counters)
        for index, line in enumerate(lines):
            refused = refusal(index, line, amount, spent[index], self._held_here(counters[index]))
            if refused is not None:
                return refused
        return Held(tuple(counter[2] for counter in counters))

    def _held_here(self, counter: Counter) -> Amount:
        holds = [hold.amount for hold in self._open.values() if counter in counters_of(hold)]
        return Amount(sum(one.nano_usd for one in holds), sum(one.tokens for one in holds))

    def _settle(self, hold: Hold, spent: Amount) -> None:
        self._open.pop(hold.id, None)
        self._sums.add(hold, spent)
        telling = asyncio.create_task(self._tell(hold, spent), name="budget settlement", context=Context())
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _tell(self, hold: Hold, spent: Amount) -> None:
        """Until the plane has heard it, or would not know it for a repetition any more: then the ledger's sum corrects it."""
        until_mono, tried = clock.monotonic_seconds() + REPEAT_SECONDS / 2, 0
        while clock.monotonic_seconds() < until_mono:
            try:
                return await self._plane.settle_budget(hold, spent)
            except PlaneAway:
                tried += 1
                await asyncio.sleep(full_jitter(*AGAIN_SECONDS, tried))
        self._compared.clear()
        return None

    def _keep_renewing(self) -> None:
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew(), name="budget renewal", context=Context())

    async def _renew(self) -> None:
        while self._open:
            await asyncio.sleep(RENEW_SECONDS)
            holds = list(self._open.values())
            for start in range(0, len(holds), RENEWED_AT_ONCE):
                piece = [hold for hold in holds[start : start + RENEWED_AT_ONCE] if hold.id in self._open]
                try:
                    await self._plane.renew_budgets(piece)
                except PlaneAway:
                    break


def _on(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call it there, from whichever thread this is."""
    if asyncio._get_running_loop() is loop:  # noqa: SLF001 - the documented way raises, which costs more
        call()
    elif not loop.is_closed():
        loop.call_soon_threadsafe(call)


def _nearly(limit: Limit) -> Limit:
    line = limit.line
    nano, tokens = (None if one is None else one * 99 // 100 for one in (line.limit_nano_usd, line.limit_tokens))
    return replace(limit, line=replace(line, limit_nano_usd=nano, limit_tokens=tokens))
