"""What all calls of a worker process go by: the settings in force, and the limits, breakers and budgets that the fleet shares."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context

from dayshift.domain.settings import Settings
from dayshift.llm.breakers import Breakers
from dayshift.llm.budgets import Budgets
from dayshift.llm.cache import AnswerCache
from dayshift.llm.limits import Limiter
from dayshift.llm.looking_again import LookingAgain
from dayshift.llm.prices import Prices
from dayshift.llm.retry_budget import RetryBudget
from dayshift.llm.routing import Router


class Shared:
    """What the calls of a worker process share; belongs to its event loop."""

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        router: Router,
        limiter: Limiter,
        breakers: Breakers,
        retries: RetryBudget,
        cache: AnswerCache,
        looking_again: LookingAgain,
        prices: Prices,
        budgets: Budgets,
    ) -> None:
        self.settings = settings
        self.router = router
        self.limiter = limiter
        self.breakers = breakers
        self.retries = retries
        self.cache = cache
        self.looking_again = looking_again
        self.prices = prices
        self.budgets = budgets
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread_id = 0

    def open(self) -> None:
        """From here on calls are made from the running loop."""
        self._loop, self._thread_id = asyncio.get_running_loop(), threading.get_ident()

    def on_loop(self, do: Callable[[], None]) -> None:
        """Do it here, from whichever thread, once the loop has a moment: whoever waits for an answer has it first."""
        if self._loop is None:
            do()
        elif threading.get_ident() == self._thread_id:
            self._loop.call_soon(do, context=Context())
        else:
            self._loop.call_soon_threadsafe(do, context=Context())
