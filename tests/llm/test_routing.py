"""Where a call may go, and what it says there: a matter of the settings alone, so no provider is needed."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dayshift.domain.errors import WrongUse
from dayshift.domain.settings import Settings
from dayshift.llm.exchange import LlmCall
from dayshift.llm.formats import CHAT, MESSAGES, RESPONSES
from dayshift.llm.providers import ANTHROPIC_URL, OPENAI_URL, first_providers
from dayshift.llm.request import question_of
from dayshift.llm.routing import CACHE_HEADER, CLIENTS_OWN, Router, with_model

SECRETS = {"ONE": "sk-one", "TWO": "sk-two", "SPARE": "sk-spare"}
OWN = {
    "one": {"format": "openai", "base_url": "http://one.test/v1", "api_key": "${env:ONE}"},
    "two": {"format": "openai", "base_url": "http://two.test/v1/", "api_key": "${env:TWO}"},
    "claude": {"format": "anthropic", "base_url": "http://claude.test", "api_key": "${env:ONE}"},
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
names = st.text(st.characters(codec="utf-8"), max_size=40)


def told(**sections):
    return msgspec.convert({"providers": OWN, **sections}, Settings)


def router(secrets=SECRETS):
    return Router(first_providers(openai_base_url=None, anthropic_base_url=None), secrets.get)


def asked(model, api=CHAT, *, url=None, headers=None, **body):
    content = msgspec.json.encode({"model": model, api.messages_in: [{"role": "user", "content": "hello"}], **body})
    base = OPENAI_URL if api.provider == "openai" else ANTHROPIC_URL
    return LlmCall(
        provider=api.provider,
        api=api,
        question=question_of(api, headers or {}, content),
        url=url or base + api.path,
        headers=headers or {},
        body=content,
    )


def route(call, settings=None, agent="hello", secrets=SECRETS):
    return router(secrets).route(settings or told(), agent, call)


@given(
    before=st.dictionaries(names.filter(lambda name: name != "model"), json_values, max_size=5),
    after=st.dictionaries(names.filter(lambda name: name != "model"), json_values, max_size=5),
    model=names,
    other=names,
    spaces=st.booleans(),
)
def test_another_models_name_leaves_every_other_field_as_it_stands(before, after, model, other, spaces):
    fields = {**before, "model": model, **after}
    rewritten = with_model(json.dumps(fields, indent=2 if spaces else None).encode(), other)
    assert json.loads(rewritten) == {**fields, "model": other}
    assert list(json.loads(rewritten)) == list(fields)


@pytest.mark.parametrize(
    "value",
    ["1.0", "1e400", "12345678901234567890123", '"\\u0041\\/"', '{"b" : 1,\n "a":[ ]}', "0.1000", '{"model": "inner"}'],
)
def test_what_it_copies_is_not_even_written_in_another_way(value):
    body = f'{{"messages": {value}, "model": "large"}}'.encode()
    assert with_model(body, "small") == f'{{"messages":{value},"model":"small"}}'.encode()


def test_a_call_that_names_no_model_is_given_one():
    assert json.loads(with_model(b'{"input": "x"}', "small")) == {"input": "x", "model": "small"}


def test_what_no_model_entry_names_goes_where_it_went_as_it_was():
    for api, model, url in (
        (CHAT, "gpt-5", OPENAI_URL),
        (RESPONSES, "", OPENAI_URL),
        (MESSAGES, "claude", ANTHROPIC_URL),
    ):
        found = route(asked(model, api))
        (target,) = found.targets
        outgoing = target.outgoing(asked(model, api), target.credentials[0].id)
        assert (found.name, target.provider, target.base_url) == ("", api.provider, url)
        assert (target.model, target.is_elsewhere) == (model, False)
        assert target.credentials[0].id == f"{api.provider}:{CLIENTS_OWN}"
        assert (outgoing.url, dict(outgoing.headers), outgoing.body) == (None, {}, None)


def test_a_name_with_a_slash_that_nobody_set_is_a_models_name():
    (target,) = route(asked("meta-llama/Llama-3.1-8B")).targets
    assert (target.provider, target.model) == ("openai", "meta-llama/Llama-3.1-8B")


@given(st.permutations(["one/large", "two/small", "one/small", "openai/gpt-5", "two/org/large"]), st.integers(1, 5))
def test_targets_are_in_the_order_of_the_settings(order, count):
    settings = told(models={"smart": {"targets": order[:count]}})
    assert [target.name for target in route(asked("smart"), settings).targets] == order[:count]


def test_a_target_elsewhere_is_sent_there_with_its_own_key_alone():
    settings = told(models={"smart": {"targets": ["two/small"]}})
    call = asked("smart", headers={CACHE_HEADER: "no"})
    (target,) = route(call, settings).targets
    outgoing = target.outgoing(call, "two:TWO")
    assert outgoing.url == "http://two.test/v1/chat/completions"
    assert json.loads(outgoing.body) == {**json.loads(call.body), "model": "small"}
    taken_out = {"x-api-key", "api-key", "openai-organization", "openai-project", CACHE_HEADER}
    assert outgoing.headers == {"authorization": "Bearer sk-two", **dict.fromkeys(taken_out)}


def test_a_target_elsewhere_that_has_no_key_does_not_get_the_clients():
    settings = told(
        providers={"vllm": {"format": "openai", "base_url": "http://vllm.test/v1"}},
        models={"smart": {"targets": ["vllm/qwen"]}},
    )
    (target,) = route(asked("smart"), settings).targets
    assert target.outgoing(asked("smart"), f"vllm:{CLIENTS_OWN}").headers["authorization"] is None


def test_anthropics_key_goes_into_its_own_header():
    settings = told(models={"smart": {"targets": ["claude/opus"]}})
    (target,) = route(asked("smart", MESSAGES), settings).targets
    headers = target.outgoing(asked("smart", MESSAGES), "claude:ONE").headers
    assert (headers["x-api-key"], headers["authorization"]) == ("sk-one", None)


@pytest.mark.parametrize(
    ("base_url", "called", "is_elsewhere"),
    [
        ("http://own.test/v1", "http://own.test/v1/chat/completions", False),
        ("http://own.test/v1/", "http://own.test/v1/chat/completions", False),
        ("http://Own.TEST/v1", "http://own.test/v1/chat/completions", False),
        ("http://own.test:80/v1", "http://own.test/v1/chat/completions", False),
        ("https://own.test:443/v1", "https://own.test/v1/chat/completions", False),
        ("https://own.test/openai/v1", "https://own.test/openai/v1/chat/completions?api-version=preview", False),
        ("https://own.test/v1", "http://own.test/v1/chat/completions", True),
        ("http://own.test:81/v1", "http://own.test/v1/chat/completions", True),
        ("http://own.test/v2", "http://own.test/v1/chat/completions", True),
    ],
)
def test_a_place_is_the_same_however_it_is_written(base_url, called, is_elsewhere):
    settings = told(providers={"openai": {"base_url": base_url}})
    assert route(asked("gpt-5", url=called), settings).targets[0].is_elsewhere is is_elsewhere


def test_two_addresses_of_one_provider_are_told_apart():
    """The provider's own address stays known where the settings have moved it."""
    settings, routes = told(providers={"openai": {"base_url": "http://moved.test/v1"}}), router()
    there = routes.route(settings, "hello", asked("gpt-5", url="http://moved.test/v1/chat/completions"))
    here = routes.route(settings, "hello", asked("gpt-5"))
    assert not there.targets[0].is_elsewhere
    assert (
        here.targets[0].outgoing(asked("gpt-5"), f"openai:{CLIENTS_OWN}").url == "http://moved.test/v1/chat/completions"
    )


def test_an_agents_name_for_a_model_is_its_own():
    settings = told(
        models={"smart": {"targets": ["two/small"]}},
        agents={"hello": {"models": {"gpt-5": "smart", "gpt-4": "one/large", "gpt-3": "gpt-3.5"}}},
    )

    def first(model, agent):
        return route(asked(model), settings, agent).targets[0].name

    assert [first(model, "hello") for model in ("gpt-5", "gpt-4", "gpt-3")] == [
        "two/small",
        "one/large",
        "openai/gpt-3.5",
    ]
    assert first("gpt-5", "other") == "openai/gpt-5"


def test_a_newer_snapshot_counts_from_the_next_call():
    routes = router()
    for targets in (["one/large"], ["two/small"]):
        settings = told(models={"smart": {"targets": targets}})
        assert [target.name for target in routes.route(settings, "hello", asked("smart")).targets] == targets


def test_what_a_provider_keeps_has_one_target_and_one_credential():
    pooled = {**OWN, "one": {**OWN["one"], "api_key": ["${env:ONE}", "${env:SPARE}"]}}
    settings = told(
        providers=pooled,
        models={"smart": {"targets": ["one/large", "two/small"], "when_unavailable": ["fallback", "cached", "park"]}},
    )
    kept = route(asked("smart", RESPONSES, previous_response_id="resp_1"), settings)
    free = route(asked("smart", RESPONSES), settings)
    assert [target.name for target in kept.targets] == ["one/large"]
    assert [one.id for one in kept.targets[0].credentials] == ["one:ONE"]
    assert (kept.when_unavailable, kept.cache) == (("park",), None)
    assert [one.id for one in free.targets[0].credentials] == ["one:ONE", "one:SPARE"]


def test_a_variable_that_is_missing_is_named_and_others_of_the_pool_serve():
    pooled = {"one": {**OWN["one"], "api_key": ["${env:ONE}", "${env:SPARE}"]}}
    settings = told(providers=pooled, models={"smart": {"targets": ["one/large"]}})
    one_left = route(asked("smart"), settings, secrets={"SPARE": "sk-spare"})
    assert [one.id for one in one_left.targets[0].credentials] == ["one:SPARE"]
    with pytest.raises(WrongUse, match=r"providers\.one\.api_key names the environment variable ONE, SPARE"):
        route(asked("smart"), settings, secrets={})


def test_a_target_that_cannot_be_asked_is_left_out_while_there_is_another():
    settings = told(models={"smart": {"targets": ["one/large", "two/small"]}})
    assert [target.name for target in route(asked("smart"), settings, secrets={"TWO": "x"}).targets] == ["two/small"]


def test_a_call_of_another_format_is_told_why_nobody_takes_it():
    settings = told(models={"smart": {"targets": ["claude/opus"]}})
    with pytest.raises(WrongUse, match="claude/opus speaks anthropic's formats, and the call is chat"):
        route(asked("smart"), settings)


def test_limits_of_a_model_are_its_own():
    limited = {
        "limits": {"requests_per_minute": 60},
        "model_limits": {"large": {"requests_per_minute": 6}},
        "timeouts": {"connect": 1, "first_token": 2, "idle": 3, "total": 4},
    }
    settings = told(
        providers={"one": {**OWN["one"], **limited}}, models={"smart": {"targets": ["one/large", "one/small"]}}
    )
    large, small = route(asked("smart"), settings).targets
    assert (large.is_per_model, large.limits.requests_per_minute) == (True, 6)
    assert (small.is_per_model, small.limits.requests_per_minute) == (False, 60)
    patience = large.patience
    assert (patience.connect_seconds, patience.first_token_seconds) == (1, 2)
    assert (patience.idle_seconds, patience.total_seconds) == (3, 4)


def test_a_secret_is_not_in_what_a_target_looks_like():
    settings = told(models={"smart": {"targets": ["one/large"]}})
    assert "sk-one" not in repr(route(asked("smart"), settings))
