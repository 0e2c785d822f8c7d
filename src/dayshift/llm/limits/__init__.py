"""Waiting in turn for what a provider lets all workers use together: `Limiter.reserve` before a call, `settle` after it."""

from dayshift.llm.limits.asks import Ask, LimitBusy
from dayshift.llm.limits.limiter import Ear, Limiter
from dayshift.llm.limits.reservation import Reservation

__all__ = ["Ask", "Ear", "LimitBusy", "Limiter", "Reservation"]
