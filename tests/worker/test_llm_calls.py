"""An agent that asks a provider through `ctx.openai()`: what it consumed is told, and a cancel aborts the request."""

import json

import msgspec
import pytest
from msgspec.structs import replace

from dayshift.domain import clock
from dayshift.domain.effect import SeenEffect
from dayshift.domain.events import LlmCallEnded
from dayshift.domain.provider_settings import PriceSettings, ProviderSettings
from dayshift.domain.task import Status
from dayshift.telemetry import subscribe
from tests.fakellm.process import fake_provider
from tests.worker.house import until, working


@pytest.fixture
def provider(monkeypatch):
    with fake_provider("--latency", "0.2") as provider:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
        yield provider


async def test_calls_tokens_and_seconds_are_part_of_the_task(house, provider):
    async with working(house):
        task = await house.finished(await house.submit("asks_model", question="Why?"))
        assert task.status is Status.SUCCEEDED
        assert (task.usage.llm_calls, task.usage.unpriced_calls) == (1, 1)
        assert task.usage.input_tokens > 0
        assert task.usage.output_tokens > 0
        assert 0.2 <= task.timing.llm <= task.timing.total
        stored = await house.ledger.tasks.get(task.id, None)
        assert (stored.usage, stored.timing) == (task.usage, task.timing)


async def test_what_a_call_cost_is_told_of_the_call_of_the_task_and_in_the_metrics(house, provider):
    price = PriceSettings(input_usd_per_million=1_000, output_usd_per_million=10_000)
    house.settings = replace(house.settings, prices={"openai/m": price})
    ended: list[LlmCallEnded] = []
    end = subscribe(LlmCallEnded, ended.append)
    async with working(house):
        task = await house.finished(await house.submit("asks_model", question="How much?"))
    end()
    usage = task.usage
    expected = usage.input_tokens / 1_000 + usage.output_tokens / 100
    assert (usage.cost_usd, usage.unpriced_calls) == (pytest.approx(expected), 0)
    [effect] = await house.ledger.effects.of_task(task.id)
    assert (effect.usage.provider, effect.usage.model) == ("openai", "m")
    assert effect.usage.cost_usd == pytest.approx(expected)
    [call] = ended
    assert (call.provider, call.model, call.agent, call.outcome) == ("openai", "m", "asks_model", "ok")
    assert (call.cost_usd, call.output_tokens, call.is_unpriced) == (usage.cost_usd, usage.output_tokens, False)
    assert call.duration_seconds >= 0.2


async def test_a_cancel_aborts_the_open_request(house, provider):
    provider.script(latency=30)
    async with working(house):
        task_id = await house.submit("asks_model", question="Wait")
        await until(lambda: provider.stats()["open"] >= 1)
        asked_mono = clock.monotonic_seconds()
        await house.services.control.cancel(task_id, "acme")
        assert (await house.finished(task_id)).status is Status.CANCELLED
        assert clock.monotonic_seconds() - asked_mono < 1
        provider.wait_for_stats(aborted=1)


async def test_a_call_without_an_sdk_is_journaled_too(house, provider):
    async with working(house):
        task = await house.finished(await house.submit("asks_without_an_sdk"))
    assert (task.status, task.attempt) == (Status.SUCCEEDED, 2)
    assert bytes(task.output).endswith(b' of list"')
    assert [call["n_received"] for call in provider.calls()] == [1]
    assert [effect.kind for effect in await house.ledger.effects.of_task(task.id)] == ["llm"]


async def test_embeddings_are_recorded_priced_and_given_again(house, provider):
    price = PriceSettings(input_usd_per_million=500_000)
    house.settings = replace(house.settings, prices={"openai/text-embedding-3-small": price})
    async with working(house):
        task = await house.finished(await house.submit("embeds", texts=["one", "another", "one"]))
    one, another, again = msgspec.json.decode(task.output)
    assert (task.status, task.attempt) == (Status.SUCCEEDED, 2)
    assert (len(one), one == again, one == another) == (4, True, False)
    assert [(call["path"], call["n_received"]) for call in provider.calls()] == [("/v1/embeddings", 1)]
    [effect] = await house.ledger.effects.of_task(task.id)
    assert (effect.kind, effect.name) == ("llm", "embeddings text-embedding-3-small")
    assert (effect.usage.input_tokens, effect.usage.output_tokens) == (4, 0)
    assert task.usage.cost_usd == pytest.approx(2.0)


async def test_a_key_whose_variable_is_missing_ends_the_task_and_is_named(house, provider, monkeypatch):
    """What the worker's environment lacks, no retry brings: neither the SDK's nor the task's."""
    monkeypatch.delenv("A_KEY_THAT_NOBODY_SET", raising=False)
    own = ProviderSettings(api_key="${env:A_KEY_THAT_NOBODY_SET}")
    house.settings = replace(house.settings, providers={"openai": own})
    async with working(house):
        task = await house.finished(await house.submit("asks_model", question="Who pays?"))
    assert (task.status, task.attempt, task.error.retryable) == (Status.FAILED, 1, False)
    assert "A_KEY_THAT_NOBODY_SET" in task.error.message
    assert "providers.openai.api_key" in task.error.message
    assert provider.calls() == []


async def deltas(house, task_id):
    """What was told live of the calls of a task: by call, what stands of it after all that was said anew."""
    page = await house.plane.read(task_id)
    said: dict[str, str] = {}
    for event in page.events:
        told = json.loads(event.data)
        if event.type == "llm.delta":
            said[told["call"]] = said.get(told["call"], "") + told["text"]
        elif event.type == "llm.restarted":
            said[told["call"]] = ""
    return said


@pytest.mark.parametrize("fails", [False, True])
async def test_what_a_model_streams_is_told_live_and_stands_as_it_was_answered(house, provider, fails):
    provider.script({"output_tokens": 60}, tokens_per_second=200, latency=0.0)
    async with working(house):
        task = await house.finished(await house.submit("reads_along", fails=fails))
        assert task.status is Status.SUCCEEDED, task.error
        said = await deltas(house, task.id)
    assert len(said) == 2, "the same words were asked for twice, in however many attempts"
    assert "".join(said.values()) == msgspec.json.decode(task.output)


@pytest.mark.parametrize("fails", [False, True])
async def test_each_effect_is_told_once_it_is_in_the_journal_and_before_the_end(house, provider, fails):
    provider.script({"output_tokens": 20}, tokens_per_second=400, latency=0.0)
    async with working(house):
        task = await house.finished(await house.submit("reads_along", fails=fails))
        events = (await house.plane.read(task.id)).events
    told = [json.loads(event.data) for event in events if event.type == "effect.finished"]
    effects = await house.ledger.effects.of_task(task.id)
    seen = [json.loads(msgspec.json.encode(SeenEffect.of(replace(effect, replayed_by=None)))) for effect in effects]
    assert [one["effect"] for one in told] == seen
    assert [one["attempt"] for one in told] == [effect.attempt for effect in effects]
    assert events[-1].type == "task.succeeded"
