"""How much of a limit a fleet uses, how often the provider refuses and what the fullest window holds, in simulated minutes."""

import pytest
from limit_fleet import Fleet, Load

from dayshift.domain.provider_settings import ProviderLimits

MINUTES = 3
TOKENS = ProviderLimits(tokens_per_minute=60_000)
REQUESTS = ProviderLimits(requests_per_minute=600)


def heavy_tailed(random):
    return min(4_000, int(random.lognormvariate(4.6, 1.2)))


LOADS = {
    "requests": Load(limits=REQUESTS),
    "tokens": Load(limits=TOKENS, input_tokens=400, estimate=110),
    "calls larger than the bucket": Load(limits=TOKENS, input_tokens=1_500, estimate=110, burst_seconds=2),
    "requests and tokens": Load(
        limits=ProviderLimits(requests_per_minute=600, tokens_per_minute=130_000), estimate=120
    ),
    "a window of ten seconds": Load(limits=ProviderLimits(requests_per_minute=600, window=10)),
    "heavy-tailed": Load(limits=TOKENS, input_tokens=200, output=heavy_tailed, estimate=750, burst_seconds=2),
    "heavy-tailed, told of at the end": Load(
        limits=TOKENS, input_tokens=200, output=heavy_tailed, estimate=750, burst_seconds=10, headers_tell="end"
    ),
}
THIEVES = {
    "requests": Load(limits=REQUESTS, thief_share=0.3, burst_seconds=2),
    "tokens": Load(limits=TOKENS, thief_share=0.3, input_tokens=400, burst_seconds=2),
    "requests, calls of twenty seconds": Load(
        limits=REQUESTS, thief_share=0.3, burst_seconds=2, seconds=lambda random: random.lognormvariate(3.0, 0.4)
    ),
    "no headers": Load(limits=REQUESTS, thief_share=0.3, headers_tell="nothing", burst_seconds=2),
}


def bound_by(load):
    return "requests" if load.limits.requests_per_minute else "tokens"


def limit_of(load):
    return load.limits.requests_per_minute or load.limits.tokens_per_minute


async def run(plane, load):
    return await Fleet(plane, load).run(MINUTES * 60)


def used_share(outcome, load):
    return outcome.used(bound_by(load), 60, MINUTES * 60) / (limit_of(load) * (MINUTES - 1))


@pytest.mark.parametrize("name", LOADS)
async def test_the_limit_is_used_and_the_provider_refuses_nobody(plane, name):
    load = LOADS[name]
    outcome = await run(plane, load)
    is_tame = not name.startswith("heavy-tailed")
    assert used_share(outcome, load) >= (0.97 if is_tame else 0.93)
    assert outcome.refused_share(60, MINUTES * 60) <= (0.001 if is_tame else 0.005)
    largest = max(amounts[bound_by(load)] for _, amounts in outcome.served)
    window = load.limits.window
    assert outcome.highest(bound_by(load), window) <= limit_of(load) * window / 60 + largest


@pytest.mark.parametrize("name", THIEVES)
async def test_beside_a_thief_what_is_left_is_used(plane, name):
    load = THIEVES[name]
    outcome = await run(plane, load)
    stolen = sum(amounts[bound_by(load)] for at, amounts in outcome.stolen if at >= 60)
    left = limit_of(load) * (MINUTES - 1) - stolen
    assert outcome.used(bound_by(load), 60, MINUTES * 60) >= 0.9 * left
    assert stolen >= 0.25 * limit_of(load) * (MINUTES - 1)
    assert outcome.refused_share(60, MINUTES * 60) < 0.02


async def test_two_models_of_an_account_share_what_it_may_use(plane):
    """They ask in one line: a fleet of eight, half for each, is a fleet that shares."""
    load = LOADS["requests"]
    outcome = await Fleet(plane, load, workers=8).run(MINUTES * 60)
    assert used_share(outcome, load) >= 0.97
    assert not outcome.refused
