"""Retries against calls, over one plane and without it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from dayshift.hotplane import Plane, RetryRule
from dayshift.llm import retry_budget as module
from dayshift.llm.retry_budget import RetryBudget
from tests.hotplane.proxy import Proxy

RULE = RetryRule(share=0.1, free=2, window_seconds=60.0)


@contextlib.asynccontextmanager
async def a_worker(url: str, rule: RetryRule = RULE) -> AsyncIterator[RetryBudget]:
    plane = Plane(url, timeout_seconds=0.5)
    await plane.open()
    budget = RetryBudget(plane, rule)
    await budget.open()
    yield budget
    await budget.close()
    await budget.close()
    await plane.close()


async def allowed(budget: RetryBudget, asked: int) -> int:
    return sum([await budget.may_retry("openai") for _ask in range(asked)])


async def test_the_fleet_shares_a_tenth_of_its_calls(valkey_url):
    async with a_worker(valkey_url) as one, a_worker(valkey_url) as other:
        for _call in range(150):
            one.called("openai")
        for _call in range(150):
            other.called("openai")
        for _call in range(1_000):
            one.called("anthropic")
        assert await allowed(one, 1) + await allowed(other, 1) == 2
        both = await asyncio.gather(allowed(one, 40), allowed(other, 40))
        assert sum(both) == 28


async def test_what_was_called_is_told_without_a_question_too(valkey_url, monkeypatch):
    monkeypatch.setattr(module, "TELL_SECONDS", 0.05)
    async with a_worker(valkey_url) as one, a_worker(valkey_url) as other:
        for _call in range(100):
            one.called("openai")
        async with asyncio.timeout(5):
            while one._untold:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert await allowed(other, 20) == 10


async def test_a_quiet_day_has_a_few_for_nothing(valkey_url):
    async with a_worker(valkey_url) as budget:
        budget.called("openai")
        assert [await budget.may_retry("openai") for _ask in range(3)] == [True, True, False]


@pytest.fixture
async def proxy(valkey_url):
    proxy = Proxy(valkey_url)
    await proxy.accept()
    yield proxy
    await proxy.refuse()


async def test_without_the_plane_a_worker_has_a_tenth_of_its_own_calls_less_what_it_has_used(proxy):
    async with a_worker(proxy.url) as budget:
        for _call in range(100):
            budget.called("openai")
        assert await allowed(budget, 4) == 4
        await proxy.refuse()
        assert await allowed(budget, 20) == 6
        await proxy.accept()


async def test_a_share_of_its_own_is_forgotten_with_its_window(proxy):
    async with a_worker(proxy.url, RetryRule(share=0.1, free=1, window_seconds=0.5)) as budget:
        await proxy.refuse()
        for _call in range(100):
            budget.called("openai")
        assert await allowed(budget, 20) == 10
        await asyncio.sleep(0.6)
        assert await allowed(budget, 20) == 1
        await proxy.accept()
