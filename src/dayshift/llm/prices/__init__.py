"""What a call cost, in US dollars."""

from dayshift.llm.prices.prices import Prices, cost_of

__all__ = ["Prices", "cost_of"]
