"""What the ledger says was spent: to make a counter of the plane from, or to go by while that is away."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from dayshift.domain import clock
from dayshift.domain.budget import Period, Scope, Spent, start_of
from dayshift.hotplane.budgets import Amount, Hold, Line, Sum
from dayshift.ledger import Ledger

FRESH_SECONDS = 1.0

Counter: TypeAlias = tuple[Scope, Period, int]


def counter_of(line: Line, now: datetime) -> Counter:
    """What a line is counted by at that time."""
    return line.scope, line.period, int(start_of(line.period, now).timestamp())


def counters_of(hold: Hold) -> list[Counter]:
    """Those that a hold was counted by."""
    return [(line.scope, line.period, start) for line, start in zip(hold.lines, hold.starts, strict=True)]


class LedgerSums:
    """Reads sums; those that are used without the plane are kept for a second, with what was spent here meanwhile."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._read: dict[Counter, tuple[float, Spent]] = {}

    async def of(self, lines: Sequence[Line], starts: Mapping[int, int]) -> dict[int, Sum]:
        """Of the lines with these indexes, since those seconds. Raises LedgerAway."""
        if not starts:
            return {}
        wishes = [(lines[index].scope, datetime.fromtimestamp(start, UTC)) for index, start in starts.items()]
        found = await self._ledger.spending.since(wishes)
        return {index: Sum(start, spent) for (index, start), spent in zip(starts.items(), found, strict=True)}

    async def lately(self, lines: Sequence[Line], counters: Sequence[Counter]) -> list[Spent]:
        """Of all lines, at most a second old. Raises LedgerAway."""
        oldest_mono = clock.monotonic_seconds() - FRESH_SECONDS
        self._read = {name: read for name, read in self._read.items() if read[0] >= oldest_mono}
        stale = {index: name[2] for index, name in enumerate(counters) if name not in self._read}
        for index, found in (await self.of(lines, stale)).items():
            self._read[counters[index]] = clock.monotonic_seconds(), found.spent
        return [self._read[name][1] for name in counters]

    def add(self, hold: Hold, spent: Amount) -> None:
        """This was spent, and what has been read may not have it yet."""
        for name in counters_of(hold):
            if name in self._read:
                read_mono, known = self._read[name]
                more = Spent(known.nano_usd + spent.nano_usd, known.tokens + spent.tokens, known.calls, known.unpriced)
                self._read[name] = read_mono, more
