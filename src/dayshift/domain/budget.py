"""Budgets: for whom spending is summed up, over what time, and what may be spent.

Money is counted in whole billionths of a dollar (`nano_usd`), so that sums are exact wherever they are made.
"""

from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from msgspec import Struct

from dayshift.domain.task import Started

NANO = 1_000_000_000

ScopeKind: TypeAlias = Literal["tenant", "agent", "user", "conversation", "task"]
Period: TypeAlias = Literal["hour", "day", "month", "ever"]


class Scope(Struct, frozen=True, order=True):
    """Whose spending is summed up. `tenant` is empty for agents and tasks; `name` is empty for a tenant itself."""

    kind: ScopeKind
    tenant: str
    name: str

    def __str__(self) -> str:
        words = [self.kind, *([self.tenant] if self.kind == "tenant" else [self.name])]
        return " ".join(words)


class Spent(Struct, frozen=True):
    """A sum. `unpriced` are those of the calls whose cost nobody knows: they are not in `nano_usd`."""

    nano_usd: int = 0
    tokens: int = 0
    calls: int = 0
    unpriced: int = 0


class Spender(Struct, frozen=True, kw_only=True):
    """Who a call is made for. `ancestors` are the tasks above this one with their agents, the nearest first."""

    tenant: str
    agent: str
    task_id: str
    user: str | None = None
    conversation: str | None = None
    ancestors: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, started: Started, ancestors: tuple[tuple[str, str], ...] = ()) -> "Spender":
        """Who an attempt spends for."""
        return cls(
            tenant=started.tenant,
            agent=started.agent,
            task_id=started.id,
            user=started.user,
            conversation=started.conversation,
            ancestors=ancestors,
        )


def always_summed(tenant: str, agent: str) -> tuple[Scope, ...]:
    """Those whose spending is summed up whether there is a budget or not."""
    return Scope("tenant", tenant, ""), Scope("agent", "", agent)


def nano_usd(usd: float) -> int:
    return round(usd * NANO)


def usd(nano: float) -> float:
    return nano / NANO


def start_of(period: Period, moment: datetime) -> datetime:
    """When the period began in which a moment lies (UTC)."""
    if period == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return midnight
    return midnight.replace(day=1) if period == "month" else datetime.fromtimestamp(0, moment.tzinfo)


def end_of(period: Period, moment: datetime) -> datetime | None:
    """When the next one begins; None: never."""
    start = start_of(period, moment)
    if period == "hour":
        return start + timedelta(hours=1)
    if period == "day":
        return start + timedelta(days=1)
    return (start + timedelta(days=32)).replace(day=1) if period == "month" else None
