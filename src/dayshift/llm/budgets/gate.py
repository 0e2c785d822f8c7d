"""No new task for somebody whose hour, day or month is spent: asked at the door, so that it is not accepted only to fail.

An answer is good for a second, so a busy door asks once a second for each of those whom a budget limits, and never for others. A
budget that asks a person when it is spent lets new tasks in: they can be approved.
"""

from dayshift.domain import clock
from dayshift.domain.budget import Spender
from dayshift.domain.errors import BudgetSpent
from dayshift.llm.budgets import Budgets

FRESH_SECONDS = 1.0
MOST_ANSWERS = 10_000


class BudgetGate:
    """One a process."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets
        self._answers: dict[Spender, tuple[float, BudgetSpent | None]] = {}

    async def check(self, tenant: str, user: str | None, agent: str) -> None:
        """Raises BudgetSpent; LedgerAway."""
        spender = Spender(tenant=tenant, agent=agent, task_id="", user=user)
        if not self._budgets.apply_to(spender):
            return
        asked_mono, error = self._answers.get(spender, (float("-inf"), None))
        if clock.monotonic_seconds() - asked_mono >= FRESH_SECONDS:
            error = await self._ask(spender)
        if error is not None:
            raise error.with_traceback(None)

    async def _ask(self, spender: Spender) -> BudgetSpent | None:
        error = None
        try:
            await self._budgets.check(spender)
        except BudgetSpent as spent:
            error = spent
        if len(self._answers) >= MOST_ANSWERS:
            self._answers.clear()
        self._answers[spender] = clock.monotonic_seconds(), error
        return error
