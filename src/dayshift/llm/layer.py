"""The LLM layer of a worker process: what its calls share, wired together."""

from collections.abc import Callable, Sequence

from dayshift.domain import ids
from dayshift.domain.settings import Settings
from dayshift.hotplane import Plane
from dayshift.llm.asking import Caller
from dayshift.llm.breakers import Breakers, Hearing
from dayshift.llm.budgets import Budgets
from dayshift.llm.cache import AnswerCache
from dayshift.llm.limits import Limiter
from dayshift.llm.looking_again import LookingAgain
from dayshift.llm.pipeline import Line
from dayshift.llm.prices import Prices
from dayshift.llm.retry_budget import RetryBudget
from dayshift.llm.routing import Provider, Router
from dayshift.llm.shared import Shared
from dayshift.telemetry import emit


class LlmLayer:
    """Belongs to the event loop that opened it. `on_back` hears of a provider whose breaker has closed."""

    def __init__(
        self,
        plane: Plane,
        hearing: Hearing,
        settings: Callable[[], Settings],
        *,
        budgets: Budgets,
        providers: Sequence[Provider],
        secret_named: Callable[[str], str | None],
        on_back: Callable[[str], None],
    ) -> None:
        self._limiter = Limiter(plane, hearing, ids.new(ids.WORKER), emit=emit)
        self._breakers = Breakers(plane, hearing)
        self._retries = RetryBudget(plane)
        self._breakers.on_closed(lambda provider, _model: on_back(provider))
        self._shared = Shared(
            settings=settings,
            router=Router(providers, secret_named),
            limiter=self._limiter,
            breakers=self._breakers,
            retries=self._retries,
            cache=AnswerCache(plane),
            looking_again=LookingAgain(plane),
            prices=Prices(lambda: settings().prices),
            budgets=budgets,
        )

    async def open(self) -> None:
        """Begin to hear what the fleet says."""
        self._shared.open()
        await self._breakers.open()
        await self._limiter.open()
        await self._retries.open()

    async def close(self) -> None:
        """Give back what is held, and hear nothing more."""
        await self._limiter.close()
        await self._breakers.close()
        await self._retries.close()

    def line(self, caller: Caller) -> Line:
        """The way that the calls of one attempt go."""
        return Line(self._shared, caller)
