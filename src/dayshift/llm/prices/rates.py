"""The table of the package genai-prices, and its rates for each model, asked for once.

A model's price is linear in its tokens up to a step: some providers charge more for all tokens of a call whose input is longer than,
say, 200,000. So between two steps four questions to the package tell the four rates (fresh, cached and written input, output), and a
call costs four multiplications from then on. Calls with others than these (audio, a search, a cache kept for an hour) or
with a service tier are few, and are put to the package itself, each.
"""

import sys
from bisect import bisect_left
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from dayshift.domain import clock
from dayshift.domain.effect import CallUsage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

PROBE_TOKENS = 1_000_000
ORDINARY_TIERS = frozenset({None, "default", "standard", "auto"})
APART = frozenset({"requests_kcount", "output_reasoning_mtok"})  # prices that the four rates do not hold
MOST_MODELS = 1_024  # an agent that makes names up must not fill the memory


class Rates(Struct, frozen=True):
    """US dollars for one token, between two steps."""

    fresh: float
    cached: float
    written: float
    output: float


class Card(Struct, frozen=True):
    """The rates of a model: `rates[n]` holds for inputs of at most `steps[n]` tokens, the last for all above."""

    steps: list[int]
    rates: list[Rates]

    @property
    def is_linear(self) -> bool:
        """Whether it has rates at all; if not, the package is asked each time."""
        return bool(self.rates)

    def cost_of(self, usage: CallUsage) -> float:
        rate = self.rates[bisect_left(self.steps, usage.input_tokens)]
        cached, written, fresh = usage.parts_of_input
        return fresh * rate.fresh + cached * rate.cached + written * rate.written + usage.output_tokens * rate.output


_cards: dict[int, Card] = {}  # by the identity of a price, which lives as long as the table


def is_loaded() -> bool:
    """Whether the table is imported."""
    return "genai_prices.data" in sys.modules


def load() -> None:
    """Import the table."""
    import genai_prices.data  # noqa: F401 - importing it is what is wanted


def provider_of(provider: str, model: str, base_url: str | None) -> str | None:
    """What the package calls the provider; None when it does not know it."""
    found = _found(provider, model, base_url)
    return None if found is None else found[0].id


def cost_of(provider: str, model: str, usage: CallUsage, base_url: str | None) -> float | None:
    """What a call cost; None for a model that the package does not know, or has no price for."""
    found = _found(provider, model, base_url)
    if found is None:
        return None
    who, what = found
    price = what.get_prices(clock.now())
    if usage.others or usage.service_tier not in ORDINARY_TIERS:
        return _asked(who, what, price, usage)
    card = _cards.get(id(price)) or _cards.setdefault(id(price), _card_of(price))
    return card.cost_of(usage) if card.is_linear else _asked(who, what, price, usage)


@lru_cache(MOST_MODELS)
def _found(provider: str, model: str, base_url: str | None) -> "tuple[Provider, ModelInfo] | None":
    """By the address, by the provider's own name, or by the model's: the first that says who the provider is decides."""
    from genai_prices.data_snapshot import get_snapshot

    table, wanted = get_snapshot(), model.lower()
    hints = [(None, base_url)] * bool(base_url) + [(provider, None)] * bool(provider) + [(None, None)]
    for name, address in hints:
        try:
            who = table.find_provider(wanted, name, address)
        except LookupError:
            continue
        what = who.find_model(wanted, all_providers=table.providers)
        return None if what is None else (who, what)
    return None


def _card_of(price: "ModelPrice") -> Card:
    from genai_prices.types import TieredPrices

    values = {name: value for name, value in vars(price).items() if value is not None}
    tiers = [tier for value in values.values() if isinstance(value, TieredPrices) for tier in value.tiers]
    steps = sorted({tier.start for tier in tiers if tier.start > 0})
    inputs = [*steps, steps[-1] + 1 if steps else PROBE_TOKENS]
    if not values or not APART.isdisjoint(values):
        return Card([], [])
    return Card(steps, [_rates_of(price, tokens) for tokens in inputs])


def _rates_of(price: "ModelPrice", tokens: int) -> Rates:
    from genai_prices import Usage

    def total(**more: int) -> Decimal:
        return price.calc_price(Usage(input_tokens=tokens, **more))["total_price"]

    return Rates(
        fresh=float(total() / tokens),
        cached=float(total(cache_read_tokens=tokens) / tokens),
        written=float(total(cache_write_tokens=tokens) / tokens),
        output=float((total(output_tokens=PROBE_TOKENS) - total()) / PROBE_TOKENS),
    )


def _asked(who: "Provider", what: "ModelInfo", price: "ModelPrice", usage: CallUsage) -> float | None:
    from genai_prices import Usage

    if not any(value is not None for value in vars(price).values()):
        return None
    cached, written, _ = usage.parts_of_input
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": cached,
        "cache_write_tokens": written,
        "output_reasoning_tokens": min(usage.reasoning_tokens, usage.output_tokens),
    }
    context = None if usage.service_tier in ORDINARY_TIERS else {"service_tier": str(usage.service_tier)}
    try:
        asked = what.calc_price(
            Usage(**{name: count for name, count in (counts | usage.others).items() if count}),
            who,
            genai_request_timestamp=clock.now(),
            price_context=context,
        )
    except ValueError:  # numbers that contradict each other
        return None
    return float(asked.total_price)
