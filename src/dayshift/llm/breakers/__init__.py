"""Leaving alone what is ill, and finding out when it is well: `Breakers.permit` before a call, `Permit.settle` after it."""

from dayshift.llm.breakers.breakers import Breakers, Hearing
from dayshift.llm.breakers.permits import Open, Permit

__all__ = ["Breakers", "Hearing", "Open", "Permit"]
