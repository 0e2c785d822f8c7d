"""Which budgets a call must keep to, by the settings of this moment.

    tenants.NAME.budget        all that the tenant spends; a task and its children, and a conversation, of that tenant
    tenants.NAME.user_budget   the same for each user of the tenant
    agents.NAME.budget         all that the agent spends, for all tenants; each task of the agent with its children

A child's spending counts for the tasks above it as well, so a child has what remains of their budgets, and of its own agent's.
"""

from collections.abc import Iterator

from msgspec import Struct

from dayshift.domain.budget import Period, Scope, Spender, always_summed, nano_usd
from dayshift.domain.provider_settings import BudgetSettings
from dayshift.domain.settings import Settings
from dayshift.hotplane.budgets import Line

PERIODS: tuple[Period, ...] = ("hour", "day", "month")


class Limit(Struct, frozen=True):
    """A line that the plane counts, and the setting that drew it."""

    line: Line
    path: str  # without its unit: `tenants.acme.budget.{}_per_day`
    budget: BudgetSettings

    def setting(self, unit: str) -> str:
        return self.path.format(unit)


def limits_of(settings: Settings, spender: Spender) -> tuple[Limit, ...]:
    """All that apply to a call; none where no budget is set."""
    return tuple(_limits(settings, spender))


def scopes_of(settings: Settings, spender: Spender) -> tuple[Scope, ...]:
    """For whom the ledger sums up what is spent: the tenant and the agent always, the others while a budget holds for them."""
    limited = (limit.line.scope for limit in _limits(settings, spender))
    return tuple(dict.fromkeys((*always_summed(spender.tenant, spender.agent), *limited)))


def counts_tasks(settings: Settings) -> bool:
    """Whether any budget holds for single tasks, so that it matters who called whom."""
    budgets = [
        *(agent.budget for agent in settings.agents.values()),
        *(budget for tenant in settings.tenants.values() for budget in (tenant.budget, tenant.user_budget)),
    ]
    return any(one is not None and (one.usd_per_task or one.tokens_per_task) for one in budgets)


def _limits(settings: Settings, spender: Spender) -> Iterator[Limit]:
    tenant = settings.tenant(spender.tenant)
    section = f"tenants.{spender.tenant if spender.tenant in settings.tenants else '*'}"
    root = spender.ancestors[-1][0] if spender.ancestors else spender.task_id
    if tenant.budget is not None:
        yield from _within(tenant.budget, f"{section}.budget", Scope("tenant", spender.tenant, ""), spender)
        yield from _of_task(tenant.budget, f"{section}.budget", root)
    if tenant.user_budget is not None and spender.user is not None:
        own = Scope("user", spender.tenant, spender.user)
        yield from _within(tenant.user_budget, f"{section}.user_budget", own, spender)
        yield from _of_task(tenant.user_budget, f"{section}.user_budget", root)
    own_budget = settings.agent(spender.agent).budget
    if own_budget is not None:
        own = Scope("agent", "", spender.agent)
        yield from _within(own_budget, f"agents.{spender.agent}.budget", own, spender)
    for task_id, agent in ((spender.task_id, spender.agent), *spender.ancestors):
        budget = settings.agent(agent).budget
        if budget is not None:
            yield from _of_task(budget, f"agents.{agent}.budget", task_id)


def _within(budget: BudgetSettings, path: str, own: Scope, spender: Spender) -> Iterator[Limit]:
    for period in PERIODS:
        yield from _line(budget, own, period, period, path)
    if spender.conversation is not None:
        talk = Scope("conversation", spender.tenant, spender.conversation)
        yield from _line(budget, talk, "ever", "conversation", path)


def _of_task(budget: BudgetSettings, path: str, task_id: str) -> Iterator[Limit]:
    yield from _line(budget, Scope("task", "", task_id.removeprefix("task_")), "ever", "task", path)


def _line(budget: BudgetSettings, scope: Scope, period: Period, word: str, path: str) -> Iterator[Limit]:
    usd: float | None = getattr(budget, f"usd_per_{word}")
    tokens: int | None = getattr(budget, f"tokens_per_{word}")
    if usd is not None or tokens is not None:
        line = Line(scope, period, None if usd is None else nano_usd(usd), tokens)
        yield Limit(line, f"{path}.{{}}_per_{word}", budget)
