"""What a call cost, in US dollars: by the settings' own prices, else by what the provider said, else by the package genai-prices.

    prices."PROVIDER/MODEL", then prices."PROVIDER/*"     the settings; the model as it was asked for, or as the answer names it
    OpenRouter                                             says what it charged
    genai-prices                                           the provider by the host of its address, by its name in the settings, or by
                                                           the model's name; the model as the answer names it
    none of them                                           unpriced: counted as a call without a price, never as one that was free

A call whose provider did not say how many tokens it took is unpriced as well.

**Exactness.** The package's prices are decimals; here they become floats of dollars, rounded to a billionth of a thousandth: no price
is finer, so what is rounded away is the dust of the floats. Budgets count in whole billionths of a dollar.

**Cost.** The package takes 0.2 s of CPU and 28 MB to import, most of it for pydantic and httpx2, which the SDKs import anyway
(after them 20 ms and 0.4 MB), and another 4 MB for its table. So it is imported at the first call that needs it, in a thread
while the provider answers. It takes 130 microseconds to price a call, which is too much beside a pipeline that takes 700; so
its rates for a model are asked for once and kept (see rates.py).
"""

import asyncio
import threading
from collections.abc import Callable, Mapping

import msgspec

from dayshift.domain.effect import CallUsage
from dayshift.domain.provider_settings import PriceSettings
from dayshift.domain.task import USD_DIGITS
from dayshift.llm.prices import rates

MILLION = 1_000_000
SAYS_ITS_PRICE = "openrouter"

_NO_OVERRIDES: Mapping[str, PriceSettings] = {}


class Prices:
    """Prices calls by the settings that are in force when they end."""

    def __init__(self, overrides: Callable[[], Mapping[str, PriceSettings]] = lambda: _NO_OVERRIDES) -> None:
        self._overrides = overrides
        self._is_warm = False

    def warm(self) -> None:
        """A call is on its way: be ready when its answer comes."""
        if not self._is_warm:
            self._is_warm = True
            threading.Thread(target=rates.load, name="prices", daemon=True).start()

    async def ready(self) -> None:
        """Wait until calls can be priced without holding up the loop."""
        if not rates.is_loaded():
            await asyncio.to_thread(rates.load)

    def estimate_usd(
        self, provider: str, model: str, base_url: str | None, *, input_tokens: int, output_tokens: int
    ) -> float | None:
        """What a call may cost that takes so many tokens; None when nobody knows."""
        usage = CallUsage(llm_calls=1, input_tokens=input_tokens, output_tokens=output_tokens)
        return cost_of(provider, model, usage, self._overrides(), asked=model, base_url=base_url)

    def priced(self, usage: CallUsage, *, asked: str = "", base_url: str | None = None) -> CallUsage:
        """The usage of a call with its cost; one that has it already stays as it is. `asked` is the model that was asked for,
        `base_url` the provider's address.
        """
        if usage.is_priced:
            return usage
        usage = msgspec.structs.replace(usage, model=usage.model or asked)
        cost_usd = cost_of(
            usage.provider, usage.model, usage, self._overrides(), asked=asked or usage.model, base_url=base_url
        )
        if cost_usd is None:
            return msgspec.structs.replace(usage, cost_usd=0.0, unpriced_calls=usage.llm_calls, is_priced=True)
        return msgspec.structs.replace(usage, cost_usd=round(cost_usd, USD_DIGITS), unpriced_calls=0, is_priced=True)


def cost_of(
    provider: str,
    model: str,
    usage: CallUsage,
    overrides: Mapping[str, PriceSettings],
    *,
    asked: str = "",
    base_url: str | None = None,
) -> float | None:
    """The cost of a call; None when nobody knows it."""
    if not usage.input_tokens:  # there is no such call, so this one's provider did not say
        return usage.told_usd
    names = (f"{provider}/{asked}", f"{provider}/{model}", f"{provider}/*")
    override = next((overrides[name] for name in names if name in overrides), None)
    if override is not None:
        return _by_settings(override, usage)
    if usage.told_usd is not None and rates.provider_of(provider, model, base_url) == SAYS_ITS_PRICE:
        return usage.told_usd
    return rates.cost_of(provider, model, usage, base_url)


def _by_settings(price: PriceSettings, usage: CallUsage) -> float:
    cached_price, write_price = price.cached_usd_per_million, price.cache_write_usd_per_million
    cached, written, fresh = usage.parts_of_input
    return (
        fresh * price.input_usd_per_million
        + cached * (price.input_usd_per_million if cached_price is None else cached_price)
        + written * (price.input_usd_per_million if write_price is None else write_price)
        + usage.output_tokens * price.output_usd_per_million
    ) / MILLION
