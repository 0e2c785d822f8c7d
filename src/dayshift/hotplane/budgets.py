"""What may still be spent: counted for all workers together, held before a call and settled after it.

A *counter* is of a scope (a tenant, a user, a task, ...) and a period (hour, day, month by UTC; or ever). It knows what was spent and
what is held. A call holds what it may come to against every line that applies to it, in one script: all or nothing.

    reserve ──▶ held ──settle──▶ spent (the real amount, more or less)
       │         ├──renew──▶ held
       │         └──nobody renewed it for 60 s: its worker is dead──▶ free
       ├──▶ missing   a counter is not there: read what was spent, and ask again with it
       ├──▶ busy      it would fit if what others hold came to less: wait a little
       └──▶ spent     it does not fit: the numbers say why

**Loss.** Counters belong to no epoch and live a little longer than their period. One that is not there is not empty but *missing*: it
is made by whoever needs it, from what the ledger has summed up. So a plane that forgot resets no budget. What was held when it forgot is
put back by the next renewal of each worker. A settlement that comes between the loss and the new sum finds no counter, which
is right, as the ledger knows that call already. One that comes just after it may be counted twice: by the ledger's sum and
by itself. That errs on the side of the limit, and by no more than the calls that were ending at that moment.

**Distrust.** A settlement that its worker took to its grave leaves a counter behind the truth. So each process reads the ledger's sum
before it first uses a counter, and again after the plane was away; a counter that is behind that sum is raised to it.

**Repeats.** Any of the three may be told again after a lost reply. A hold is known by its id; a settlement leaves a mark beside
the holds that says so.

**Numbers** are whole: billionths of a dollar, and tokens. They are exact up to 9 million dollars a period.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from dayshift.domain.budget import Period, Scope, Spent
from dayshift.hotplane import keys
from dayshift.hotplane.scripts import SCRIPTS
from dayshift.hotplane.state import State

HOLD_SECONDS: Final = 60.0
REPEAT_SECONDS: Final = 600.0  # in which a settlement that is told again is known
NO_LIMIT = -1


class Line(Struct, frozen=True):
    """A limit of a scope in a period. None: none of that kind."""

    scope: Scope
    period: Period
    limit_nano_usd: int | None
    limit_tokens: int | None


class Amount(Struct, frozen=True):
    """What a call may come to, or has come to."""

    nano_usd: int = 0
    tokens: int = 0


class Sum(Struct, frozen=True):
    """What the ledger says was spent since that second."""

    start: int
    spent: Spent


class Held(Struct, frozen=True):
    """It is held: against each line in the period that began at that second."""

    starts: tuple[int, ...]


class Missing(Struct, frozen=True):
    """Nothing is held: of these lines, by their index, what was spent since that second is needed first."""

    starts: dict[int, int]


class NotHeld(Struct, frozen=True):
    """Nothing is held. `is_busy`: it would fit without what others hold. `ends_at` in seconds; None: the period has no end."""

    index: int
    unit: Literal["usd", "tokens"]
    spent: int
    held: int
    ends_at: int | None
    is_busy: bool


Reserved: TypeAlias = Held | Missing | NotHeld


class Hold(Struct, frozen=True):
    """What is held under an id, and against which lines."""

    id: str
    amount: Amount
    lines: tuple[Line, ...]
    starts: tuple[int, ...]


_NO_SUMS: Mapping[int, Sum] = {}


class Budgets:
    """Holding, settling and renewing. `budget_clock_ms` stands for the plane's clock when it is set."""

    _state: State
    budget_clock_ms: int = 0

    async def reserve_budget(
        self, hold_id: str, amount: Amount, lines: Sequence[Line], sums: Mapping[int, Sum] = _NO_SUMS
    ) -> Reserved:
        """Hold an amount against all lines, or none; without an id only look whether it would fit."""
        flat: list[str | int | bytes] = [hold_id, _ms(HOLD_SECONDS), amount.nano_usd, amount.tokens]
        for index, line in enumerate(lines):
            flat += (*_named(line), _limit(line.limit_nano_usd), _limit(line.limit_tokens))
            known = sums.get(index)
            flat += ("", 0, 0) if known is None else (known.start, known.spent.nano_usd, known.spent.tokens)
        word, *rest = await self._run("budget_reserve", flat)
        if word == b"held":
            return Held(tuple(int(start) for start in rest))
        if word == b"missing":
            return Missing({int(index) - 1: int(start) for index, start in zip(rest[::2], rest[1::2], strict=True)})
        at, unit, spent, held, ends_at = rest
        return NotHeld(
            index=int(at) - 1,
            unit="usd" if unit == b"usd" else "tokens",
            spent=int(spent),
            held=int(held),
            ends_at=int(ends_at) or None,
            is_busy=word == b"busy",
        )

    async def settle_budget(self, hold: Hold, spent: Amount) -> None:
        """What was held is free, and this was spent."""
        flat: list[str | int | bytes] = [hold.id, _ms(REPEAT_SECONDS), hold.amount.nano_usd, hold.amount.tokens]
        await self._run("budget_settle", [*flat, spent.nano_usd, spent.tokens, *_placed(hold)])

    async def renew_budgets(self, holds: Sequence[Hold]) -> None:
        """Hold on to what is held."""
        flat: list[str | int | bytes] = [_ms(HOLD_SECONDS)]
        for hold in holds:
            flat += (hold.id, hold.amount.nano_usd, hold.amount.tokens, len(hold.lines), *_placed(hold))
        await self._run("budget_renew", flat)

    async def _run(self, script: str, arguments: Sequence[str | int | bytes]) -> list[bytes]:
        reply: list[bytes] = await self._state.wire.run(
            SCRIPTS[script], [keys.PREFIX], [self.budget_clock_ms, *arguments]
        )
        return reply


def _named(line: Line) -> tuple[str, str, str, str]:
    return line.scope.kind, keys.escaped(line.scope.tenant), keys.escaped(line.scope.name), line.period


def _placed(hold: Hold) -> list[str | int | bytes]:
    return [item for line, start in zip(hold.lines, hold.starts, strict=True) for item in (*_named(line), start)]


def _limit(limit: int | None) -> int:
    return NO_LIMIT if limit is None else limit


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)
