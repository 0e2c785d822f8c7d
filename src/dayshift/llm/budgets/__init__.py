"""What may be spent: `Budgets.reserve` before a call, `BudgetHold.settle` after it."""

from dayshift.llm.budgets.budgets import NO_HOLD, BudgetHold, Budgets
from dayshift.llm.budgets.gate import BudgetGate
from dayshift.llm.budgets.limits import scopes_of

__all__ = ["NO_HOLD", "BudgetGate", "BudgetHold", "Budgets", "scopes_of"]
