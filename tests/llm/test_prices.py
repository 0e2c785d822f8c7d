"""Calls are priced by the settings, by the provider's own word, or by the table; and never taken for free ones."""

import subprocess
import sys
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers
from hypothesis import given
from hypothesis import strategies as st

from dayshift.domain.effect import CallUsage
from dayshift.domain.provider_settings import PriceSettings
from dayshift.llm.prices import Prices, cost_of


def used(input_tokens: int = 1_000, output_tokens: int = 100, **more: object) -> CallUsage:
    return CallUsage(llm_calls=1, input_tokens=input_tokens, output_tokens=output_tokens, **more)


def test_a_known_model_costs_what_the_table_says():
    assert cost_of("openai", "gpt-4o-mini-2024-07-18", used(), {}) == pytest.approx(0.00021)


def test_cached_input_is_cheaper_and_written_input_dearer():
    plain = cost_of("anthropic", "claude-sonnet-4-5", used(), {})
    assert cost_of("anthropic", "claude-sonnet-4-5", used(cached_tokens=500), {}) < plain
    assert cost_of("anthropic", "claude-sonnet-4-5", used(cache_write_tokens=500), {}) > plain


MODELS = [(provider.id, model.id) for provider in providers for model in provider.models]


@given(
    model=st.sampled_from(MODELS),
    tokens=st.tuples(*[st.integers(0, 400_000)] * 4),
)
def test_a_cost_is_the_packages_own_at_any_number_of_tokens(model, tokens):
    fresh, cached, written, output = tokens
    usage = used(fresh + cached + written, output, cached_tokens=cached, cache_write_tokens=written)
    if usage.input_tokens == 0:
        return
    ours = cost_of(*model, usage, {})
    package = Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
    )
    try:
        theirs = calc_price(package, model[1], provider_id=model[0])
    except LookupError:  # some are listed by an id that is not what they answer to
        assert ours is None
        return
    if ours is None:
        assert theirs.total_price == 0  # the model is listed without a price
    else:
        assert ours == pytest.approx(float(theirs.total_price), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("provider", "model", "base_url"),
    [
        ("openai", "smollm2-135m", None),
        ("openai", "", None),
        ("ours", "our-own-model", "http://127.0.0.1:8000/v1"),
        ("groq", "gpt-4o", None),
    ],
)
def test_an_unknown_model_is_unpriced_and_not_free(provider, model, base_url):
    priced = Prices().priced(used(provider=provider, model=model), base_url=base_url)
    assert (priced.cost_usd, priced.unpriced_calls) == (0.0, 1)


@pytest.mark.parametrize("output_tokens", [0, 7])
def test_a_provider_that_does_not_say_its_tokens_is_unpriced(output_tokens):
    usage = CallUsage(llm_calls=1, provider="openai", model="gpt-4o", output_tokens=output_tokens)
    priced = Prices().priced(usage)
    assert (priced.cost_usd, priced.unpriced_calls) == (0.0, 1)


@pytest.mark.parametrize(
    ("provider", "model", "base_url", "known_as"),
    [
        ("fast", "llama-3.3-70b-versatile", "https://api.groq.com/openai/v1", ("groq", "llama-3.3-70b-versatile")),
        ("groq", "llama-3.3-70b-versatile", "http://proxy.internal/v1", ("groq", "llama-3.3-70b-versatile")),
        ("through-a-proxy", "gpt-4o-2024-08-06", "http://proxy.internal/v1", ("openai", "gpt-4o")),
        ("work", "gpt-4o", "https://work.openai.azure.com/openai/v1", ("openai", "gpt-4o")),
    ],
)
def test_a_provider_of_the_users_naming_is_known_by_its_host_or_by_the_model(provider, model, base_url, known_as):
    expected = cost_of(*known_as, used(), {})
    assert expected
    assert cost_of(provider, model, used(), {}, base_url=base_url) == pytest.approx(expected)


def test_the_settings_price_comes_first():
    overrides = {
        "openai/gpt-4o": PriceSettings(
            input_usd_per_million=1,
            output_usd_per_million=10,
            cached_usd_per_million=0.5,
            cache_write_usd_per_million=2,
        ),
        "ours/*": PriceSettings(input_usd_per_million=0),
    }
    usage = used(1_000_000, 100_000, cached_tokens=400_000, cache_write_tokens=100_000)
    assert cost_of("openai", "gpt-4o-2024-08-06", usage, overrides, asked="gpt-4o") == pytest.approx(
        0.5 + 0.2 + 0.2 + 1
    )
    ours = Prices(lambda: overrides).priced(used(provider="ours", model="anything"))
    assert (ours.cost_usd, ours.unpriced_calls) == (0.0, 0)


def test_a_call_is_priced_once_by_whoever_knows_most_of_it():
    prices = Prices(lambda: {"ours/small": PriceSettings(input_usd_per_million=0)})
    priced = prices.priced(used(provider="ours", model="small-2026-01"), asked="small")
    assert prices.priced(priced, asked="what the agent calls it") == priced
    assert (priced.cost_usd, priced.unpriced_calls) == (0.0, 0)


def test_input_of_the_cache_costs_as_other_input_where_nothing_else_is_said():
    overrides = {"p/m": PriceSettings(input_usd_per_million=2)}
    assert cost_of("p", "m", used(1_000_000, 0, cached_tokens=500_000), overrides) == pytest.approx(2)


def test_what_openrouter_says_it_charged_is_what_it_cost():
    usage = used(told_usd=0.5)
    assert cost_of("router", "openai/gpt-4o", usage, {}, base_url="https://openrouter.ai/api/v1") == 0.5
    assert cost_of("openai", "gpt-4o", usage, {}) != 0.5


def test_a_long_input_is_charged_by_its_step():
    below, above = used(200_000, 0), used(200_001, 0)
    steps = [cost_of("anthropic", "claude-sonnet-4-5", usage, {}) for usage in (below, above)]
    assert steps[1] > 1.9 * steps[0]


def test_a_service_tier_has_its_own_price():
    ordinary, flex = used(), used(service_tier="flex")
    assert cost_of("openai", "gpt-5", flex, {}) < cost_of("openai", "gpt-5", ordinary, {})


def test_a_sum_of_many_calls_is_exact_to_the_billionth():
    cost = cost_of("openai", "gpt-4o-mini", used(1_234, 567), {})
    total = sum(cost for _ in range(100_000))
    exact = calc_price(Usage(input_tokens=1_234, output_tokens=567), "gpt-4o-mini", provider_id="openai").total_price
    assert abs(Decimal(total) - exact * 100_000) < Decimal("1e-9")


def test_the_table_is_not_imported_with_the_house():
    code = "import sys, dayshift.agents.llm_calls; print('genai_prices' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
