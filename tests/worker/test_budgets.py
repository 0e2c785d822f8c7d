"""Budgets of tasks that really run: what they may spend, what their children leave them, and what the ledger sums up."""

import contextlib
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from dayshift.domain.budget import Scope
from dayshift.domain.provider_settings import BudgetSettings, PriceSettings, ProviderLimits, ProviderSettings
from dayshift.domain.settings import AgentSettings, Settings, TenantSettings
from dayshift.domain.task import Status
from dayshift.hotplane import Plane
from dayshift.llm.budgets import Budgets
from dayshift.llm.layer import LlmLayer
from dayshift.llm.providers import first_providers
from tests.fakellm.process import fake_provider
from tests.worker.house import TENANT, House, working

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
DEAR = {"openai/m": PriceSettings(input_usd_per_million=1_000, output_usd_per_million=1_000)}


@pytest.fixture
def provider(monkeypatch):
    with fake_provider() as provider:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
        yield provider


@contextlib.asynccontextmanager
async def spending(house: House, provider):
    budgets = Budgets(house.plane, house.ledger, lambda: house.settings)
    layer = LlmLayer(
        house.plane,
        house.services.pushes,
        lambda: house.settings,
        budgets=budgets,
        providers=first_providers(openai_base_url=f"{provider.url}/v1", anthropic_base_url=None),
        secret_named=lambda _name: "k",
        on_back=lambda _provider: None,
    )
    await layer.open()
    async with working(house, lines=layer.line, budgets=budgets):
        yield
    await layer.close()


def limited(agent: str, **budget) -> Settings:
    return Settings(agents={agent: AgentSettings(budget=BudgetSettings(**budget))}, prices=DEAR)


async def test_a_task_that_has_spent_its_budget_fails_for_good_and_says_the_numbers(house, provider):
    house.settings = limited("asks_often", usd_per_task=0.1)
    async with spending(house, provider):
        task = await house.finished(await house.submit("asks_often", times=50))
    assert (task.status, task.error.code, task.error.retryable, task.attempt) == (
        Status.FAILED,
        "budget_spent",
        False,
        1,
    )
    assert "agents.asks_often.budget.usd_per_task allows $0.10:" in task.error.message
    assert 0 < task.usage.cost_usd <= 0.1
    assert len(provider.calls()) == task.usage.llm_calls < 50
    [spent] = await house.ledger.spending.since([(Scope("task", "", task.id.removeprefix("task_")), LONG_AGO)])
    assert (spent.nano_usd, spent.calls) == (round(task.usage.cost_usd * 1e9), task.usage.llm_calls)


async def test_a_higher_budget_lets_a_dead_letter_go_on_where_it_was(house, provider):
    house.settings = limited("asks_often", tokens_per_task=40)
    async with spending(house, provider):
        dead = await house.finished(await house.submit("asks_often", times=5))
        assert dead.error.code == "budget_spent"
        house.settings = limited("asks_often", tokens_per_task=6_000)
        await house.services.control.retry(dead.id, dead.tenant)
        task = await house.finished(dead.id)
    assert (task.status, task.usage.llm_calls, len(provider.calls())) == (Status.SUCCEEDED, 5, 5)


async def test_what_a_child_spends_is_spent_of_the_task_above_it(house, provider):
    house.settings = limited("asks_and_has_others_ask", tokens_per_task=150)
    async with spending(house, provider):
        task = await house.finished(await house.submit("asks_and_has_others_ask", times=50))
    assert task.status is Status.FAILED
    assert "agents.asks_and_has_others_ask.budget.tokens_per_task allows 150 tokens" in task.error.message
    [spent] = await house.ledger.spending.since([(Scope("task", "", task.id.removeprefix("task_")), LONG_AGO)])
    assert task.usage.input_tokens + task.usage.output_tokens < spent.tokens <= 150
    assert spent.calls == len(provider.calls()) > 2


async def test_a_budget_is_kept_through_the_loss_of_the_plane(house, provider):
    tenant = TenantSettings(budget=BudgetSettings(usd_per_day=0.2))
    house.settings = Settings(tenants={"acme": tenant}, prices=DEAR)
    async with spending(house, provider):
        first = await house.finished(await house.submit("asks_often", times=3))
        assert first.status is Status.SUCCEEDED
        plane = Plane(house.valkey_url)
        await plane.open()
        for key in await plane._wire.ask(b"KEYS", "*budget*"):
            await plane._wire.ask(b"UNLINK", key)
        await plane.close()
        second = await house.finished(await house.submit("asks_often", times=50))
    assert second.error.code == "budget_spent"
    assert 0.15 < first.usage.cost_usd + second.usage.cost_usd <= 0.2


async def test_a_stream_that_does_not_say_what_it_took_is_estimated_and_counts(house, provider):
    house.settings = limited("converses", usd_per_task=100.0)
    async with spending(house, provider):
        task = await house.finished(await house.submit("converses", turns=1, streams=True))
    assert task.status is Status.SUCCEEDED
    calls = [effect.usage for effect in await house.ledger.effects.of_task(task.id) if effect.usage is not None]
    assert all(call.is_estimated and call.cost_usd > 0 and call.unpriced_calls == 0 for call in calls)
    [spent] = await house.ledger.spending.since([(Scope("task", "", task.id.removeprefix("task_")), LONG_AGO)])
    assert spent.nano_usd == round(task.usage.cost_usd * 1e9) > 0


async def test_a_model_without_a_price_is_not_asked_where_dollars_are_counted(house, provider):
    house.settings = replace(limited("asks_often", usd_per_task=0.1), prices={})
    async with spending(house, provider):
        task = await house.finished(await house.submit("asks_often", times=1))
    assert (task.error.code, len(provider.calls())) == ("unpriced_model", 0)
    assert "nobody knows what openai/m costs" in task.error.message


@pytest.mark.parametrize("agent", ["asks_often", "asks_often_plainly"])
@pytest.mark.parametrize("said", [b"true", b"false"])
async def test_beyond_its_budget_a_task_asks_a_person_where_that_is_said(house, provider, said, agent):
    limits = ProviderLimits(
        requests_per_minute=6_000, tokens_per_minute=1_000_000
    )  # what they keep in the background is no branch of the agent
    house.settings = replace(
        limited(agent, usd_per_task=0.1, on_breach="approval"),
        providers={"openai": ProviderSettings(limits=limits)},
    )
    async with spending(house, provider):
        task_id = await house.submit(agent, times=20)
        await house.event(task_id, "task.waiting")
        waiting = await house.ledger.tasks.get(task_id, TENANT)
        assert (waiting.waiting_for.type, waiting.waiting_for.name) == ("signal", "budget")
        asked = provider.stats()["received"]
        await house.services.waking.signal(TENANT, task_id, "budget", said, None)
        task = await house.finished(task_id)
    if said == b"true":
        assert (task.status, task.attempt, bytes(task.output)) == (Status.SUCCEEDED, 2, b"20"), task.error
        assert provider.stats()["received"] == 20, "what was paid for is not paid for again"
    else:
        assert (task.status, task.error.code) == (Status.FAILED, "budget_spent")
        assert provider.stats()["received"] == asked
