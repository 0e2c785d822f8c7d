"""Which requests are calls, and of whom: by the addresses that the settings have now."""

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dayshift.domain.settings import Settings
from dayshift.llm.providers import KnownAddresses, first_providers

OPENAI, CLAUDE = "https://api.openai.com/v1", "https://api.anthropic.com"
CHAT = "/chat/completions"


def known(providers=None, **first):
    """The addresses, after these settings came into force."""
    moved = {"openai_base_url": None, "anthropic_base_url": None, **first}
    addresses = KnownAddresses(first_providers(**moved))
    if providers is not None:
        addresses.learn(msgspec.convert({"providers": providers}, Settings))
    return addresses


def call_of(addresses, url, method="POST"):
    """(provider, the format's name), or None."""
    found = addresses().call_of(method, httpx2.URL(url))
    return found and (found[0], found[1].name)


@pytest.mark.parametrize(
    ("url", "call"),
    [
        (OPENAI + CHAT, ("openai", "chat")),
        (OPENAI + "/responses", ("openai", "responses")),
        (OPENAI + "/embeddings", ("openai", "embeddings")),
        (CLAUDE + "/v1/messages", ("anthropic", "messages")),
        ("https://API.OpenAI.com:443/v1" + CHAT, ("openai", "chat")),
        (OPENAI + CHAT + "?api-version=preview", ("openai", "chat")),
        (OPENAI + CHAT + "/", None),
        (OPENAI + "/files", None),
        (OPENAI + "/responses/resp_1/cancel", None),
        (CLAUDE + "/v1/messages/batches", None),
        (CLAUDE + "/v1/messages/count_tokens", None),
        ("https://api.openai.com" + CHAT, None),
        ("http://api.openai.com/v1" + CHAT, None),
        ("https://api.openai.com:444/v1" + CHAT, None),
        ("https://api.openai.com.example.org/v1" + CHAT, None),
        ("https://example.org/v1" + CHAT, None),
    ],
)
def test_a_call_goes_to_a_known_address_with_a_known_path(url, call):
    assert call_of(known(), url) == call


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_only_a_post_is_a_call(method):
    assert call_of(known(), OPENAI + CHAT, method) is None


@pytest.mark.parametrize(
    ("base_url", "called"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/v1///", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://Own.Test:80/v1", "http://own.test/v1"),
        ("https://own.test/v1", "https://own.test:443/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("https://mine.openai.azure.com/openai/v1/", "https://mine.openai.azure.com/openai/v1"),
        ("https://gate.test/to/openai/v1", "https://gate.test/to/openai/v1"),
    ],
)
def test_a_provider_of_the_settings_is_known_as_an_sdk_calls_it(base_url, called):
    addresses = known({"own": {"format": "openai", "base_url": base_url}})
    assert call_of(addresses, called + CHAT) == ("own", "chat")
    assert call_of(addresses, called + "/v1/messages") is None
    assert call_of(addresses, OPENAI + CHAT) == ("openai", "chat")


def test_settings_are_learned_and_forgotten_while_running():
    addresses = known()
    own = {"own": {"format": "anthropic", "base_url": "http://own.test"}}
    for providers, call in (({}, None), (own, ("own", "messages")), ({}, None)):
        addresses.learn(msgspec.convert({"providers": providers}, Settings))
        assert call_of(addresses, "http://own.test/v1/messages") == call


def test_a_first_provider_that_is_moved_is_known_at_both_addresses():
    addresses = known({"openai": {"base_url": "http://moved.test/v1"}}, openai_base_url="http://old.test/v1/")
    assert [call_of(addresses, f"http://{host}.test/v1{CHAT}") for host in ("moved", "old")] == [("openai", "chat")] * 2
    assert call_of(addresses, OPENAI + CHAT) is None  # it is not where the environment says that OpenAI is


def test_an_address_that_the_settings_name_is_the_one_of_that_name():
    """So that limits and a breaker can be told for it; the first provider's are those of its own name."""
    addresses = known({"mine": {"format": "openai", "base_url": OPENAI}})
    assert call_of(addresses, OPENAI + CHAT) == ("mine", "chat")


segments = st.lists(st.sampled_from(["v1", "v2", "openai", "chat", "completions", "a"]), max_size=3)


@given(st.lists(segments, min_size=1, max_size=4, unique_by=tuple), st.data())
def test_of_several_at_one_host_it_is_the_one_whose_whole_path_fits(prefixes, data):
    """However their prefixes begin alike: none is taken for another."""
    bases = {f"p{number}": "/".join(["http://shared.test", *prefix]) for number, prefix in enumerate(prefixes)}
    addresses = known({name: {"format": "openai", "base_url": base} for name, base in bases.items()})
    name = data.draw(st.sampled_from(sorted(bases)))
    assert call_of(addresses, bases[name] + CHAT) == (name, "chat")
    assert call_of(addresses, bases[name] + "/elsewhere" + CHAT) is None
