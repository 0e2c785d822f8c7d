"""What settings must be to one another, and that a key is neither stored nor told."""

import json

import pytest

from dayshift.domain.errors import Conflict, InvalidInput
from dayshift.domain.events import Fault
from dayshift.ledger import Ledger
from dayshift.settings import SettingsStore
from dayshift.settings.live import understood
from dayshift.telemetry import subscribe

OWN = {"format": "openai", "base_url": "http://127.0.0.1:9/v1"}
KEY = "sk-this-must-not-be-seen"


@pytest.fixture
def store(ledger: Ledger) -> SettingsStore:
    return SettingsStore(ledger)


async def refused(store: SettingsStore, path: str, value: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        await store.put(path, value, by="ann")
    assert await store.history() == []
    return " | ".join(f"{error.path}: {error.message}" for error in caught.value.errors)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("models.smart", {"targets": ["opneai/gpt-5"]}, "there is no provider opneai"),
        ("models.smart", {"targets": ["openai/gpt-5", "anthropic/claude"]}, "targets speak anthropic and openai"),
        ("models.smart", {"targets": []}, "length"),
        ("models.smart", {"targets": ["gpt-5"]}, "models.smart.targets"),
        (
            "models.smart",
            {"targets": ["openai/a"], "when_unavailable": ["fail", "park"]},
            "nothing can come after fail",
        ),
        (
            "models.smart",
            {"targets": ["openai/a"], "when_unavailable": ["park", "cached"]},
            "nothing can come after park",
        ),
        ("models.smart", {"targets": ["openai/a"], "when_unavailable": ["fallback", "fallback"]}, "the same twice"),
        ("models.smart", {"targets": ["openai/a"], "when_unavailable": ["cached"]}, "set cache"),
        (
            "models.smart",
            {"targets": ["openai/a"], "when_unavailable": ["hope"]},
            'Expected "cached", "fail", "fallback" or "park", got ["hope"]',
        ),
        ("agents.a.budget.on_breach", "stop", 'agents.a.budget.on_breach: Expected "approval" or "fail", got "stop"'),
        ("providers.own", {**OWN, "format": "opnai"}, 'providers.own.format: Expected "anthropic" or "openai"'),
        ("providers.own", {"format": "openai"}, "providers.own: needs base_url"),
        ("providers.own", {"base_url": "http://127.0.0.1:9"}, "providers.own: needs format"),
        ("providers.own", {**OWN, "base_url": "ftp://x"}, "providers.own.base_url"),
        ("providers.own", {**OWN, "base_url": "http://127.0.0.1:99999/v1"}, "providers.own.base_url: is no address"),
        ("providers.own", {**OWN, "base_url": "http://127.0.0.1:port"}, "providers.own.base_url: is no address"),
        ("providers.own", {**OWN, "base_url": "http://[::1"}, "providers.own.base_url: is no address"),
        ("providers.own", {**OWN, "base_url": "http://:80/v1"}, "providers.own.base_url: is no address"),
        ("providers.openai.limits", {"tokens_per_minute": 5, "output_tokens_per_minute": 5}, "in one of the two ways"),
        ("providers.openai.limits.requests_per_minute", 0, ">= 1"),
        ("agents.a.models", {"gpt-5": "smartt"}, "neither in models nor PROVIDER/MODEL"),
    ],
)
async def test_what_contradicts_itself_is_refused_with_its_path(
    store: SettingsStore, path: str, value: object, said: str
):
    assert said in await refused(store, path, value)


async def test_a_provider_that_a_model_names_cannot_be_taken_away(store: SettingsStore):
    await store.put("providers.own", OWN, by="ann")
    await store.put("models.smart", {"targets": ["own/a", "openai/b"]}, by="ann")
    await store.put("agents.a.models", {"gpt-5": "smart", "other": "own/c"}, by="ann")
    with pytest.raises(InvalidInput, match="there is no provider own"):
        await store.unset("providers.own", by="bob")
    with pytest.raises(InvalidInput, match="neither in models"):
        await store.unset("models.smart", by="bob")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("providers.openai.api_key", KEY),
        ("providers.openai.api_key", ["${env:GOOD}", KEY]),
        ("providers.openai", {"api_key": KEY}),
        ("providers.openai", KEY),
        ("providers", {"openai": {"api_key": {"value": KEY}}}),
        ("providers", KEY),
        ("providers.openai.base_url", KEY),
        ("providers.openai.format", KEY),
    ],
)
async def test_a_key_is_neither_stored_nor_told(store: SettingsStore, path: str, value: object):
    assert KEY not in await refused(store, path, value)


async def test_the_name_of_a_variable_is_stored(store: SettingsStore):
    for value in ("${env:OPENAI_API_KEY}", ["${env:ONE}", "${env:TWO}"]):
        await store.put("providers.openai.api_key", value, by="ann")
        assert (await store.get("providers.openai.api_key")).value == value


async def test_of_two_who_change_a_model_at_once_one_is_told(store: SettingsStore):
    seen = (await store.put("models.smart", {"targets": ["openai/a"]}, by="ann")).version
    await store.put("models.smart.targets", ["openai/b"], by="ann", if_version=seen)
    with pytest.raises(Conflict):
        await store.put("models.smart", {"targets": ["openai/c"]}, by="bob", if_version=seen)
    await store.rollback(seen, by="ann")
    assert (await store.get("models.smart.targets")).value == ["openai/a"]


def test_what_is_left_out_takes_with_it_what_needs_it():
    """Stored settings never keep a process from starting."""
    document = {
        "providers": {"own": {"format": "spoken later"}},
        "models": {"smart": {"targets": ["own/a"]}, "fine": {"targets": ["openai/a"]}},
        "agents": {"a": {"models": {"gpt-5": "smart"}, "max_attempts": 2}},
    }
    told: list[Fault] = []
    end = subscribe(Fault, told.append)
    settings = understood(json.loads(json.dumps(document)))
    end()
    assert (list(settings.models), settings.agent("a").models, settings.agent("a").max_attempts) == (["fine"], {}, 2)
    assert [fault.message.split()[2] for fault in told] == [
        "providers.own.format",
        "providers.own",
        "models.smart",
        "agents.a.models.gpt-5",
    ]
