from typing import Any

import pytest

from dayshift.domain.errors import FieldError, InvalidInput
from dayshift.domain.settings import Settings, TenantSettings
from dayshift.settings.paths import parse
from dayshift.settings.shape import check, default_at, type_at


def errors_of(document: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        check(document)
    return [(error.path, error.message) for error in caught.value.errors]


def test_a_valid_document_becomes_typed_settings():
    settings = check({"queues": {"a.b": {"paused": True}}, "tenants": {"*": {"weight": 3, "concurrent": None}}})
    assert settings.queue("a.b").paused
    assert settings.tenant("anybody") == TenantSettings(weight=3.0)


def test_every_fault_is_told_with_its_exact_path():
    assert errors_of(
        {
            "queues": {"default": {"max_depth": -1, "paused": "yes"}},
            "tenants": {"acme.com": {"limits": {"requests_per_minute": 0}}},
            "retention": {"tasks": "30 days"},
        }
    ) == [
        ("queues.default.max_depth", "Expected `int` >= 0, got -1"),
        ("queues.default.paused", 'Expected `bool`, got "yes"'),
        ('tenants."acme.com".limits.requests_per_minute', "Expected `int` >= 1, got 0"),
        ("retention.tasks", "Expected `str` matching regex '^[1-9][0-9]*[dhms]$', got \"30 days\""),
    ]


@pytest.mark.parametrize(
    ("document", "path", "message"),
    [
        ({"queues": []}, "queues", "Expected an object of names, got []"),
        ({"queues": {"a": 5}}, "queues.a", "Expected an object, got 5"),
        ({"queues": {"a": {"max_dept": 5}}}, "queues.a.max_dept", "did you mean queues.a.max_depth?"),
        ({"queue": {}}, "queue", "did you mean queues?"),
        ({"providers": {"openai": {"key": "x"}}}, "providers.openai.key", "does not exist"),
        ({"models": {"smart": {"targets": []}}}, "models.smart.targets", "length >= 1"),
        (
            {"prices": {"openai/gpt-4o": {"input_usd_per_million": -1}}},
            "prices.openai/gpt-4o.input_usd_per_million",
            ">= 0",
        ),
        ({"flags": {"new_prompt": {"percent": 101}}}, "flags.new_prompt.percent", "<= 100"),
        ({"alerts": {}}, "alerts", "not known to this version"),
        ({"webhooks": {"allow_privat": True}}, "webhooks.allow_privat", "did you mean"),
        ({"agents": {"a": {"budget": {"usd_per_week": 1}}}}, "agents.a.budget.usd_per_week", "did you mean"),
        ({"tenants": {"a": {"budget": {"usd_per_day": 0}}}}, "tenants.a.budget.usd_per_day", "> 0"),
        ({"tenants": {"a": {"user_budget": {"usd_per_day": float("inf")}}}}, "tenants.a.user_budget.usd_per_day", "<="),
        ({"tenants": {"a": {"weight": float("inf")}}}, "tenants.a.weight", "<= 1000000"),
        ({"tenants": {"a": {"weight": float("nan")}}}, "tenants.a.weight", "Expected"),
        ({"tenants": {"a": {"weight": "1"}}}, "tenants.a.weight", "Expected `float`"),
        ({"gateway": {"max_body_bytes": 2**70}}, "gateway.max_body_bytes", "<= 67108864"),
    ],
)
def test_what_is_wrong_is_said(document: dict[str, Any], path: str, message: str):
    ((told_path, told),) = errors_of(document)
    assert told_path == path
    assert message in told


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("tenants.acme.com.weight", 'quote a name that holds a dot: tenants."acme.com"'),
        ("tenants.acme.wieght", "did you mean tenants.acme.weight?"),
        ("queues.a.paused.now", "queues.a.paused is a plain value"),
        ("budget", "there are agents, flags, gateway, journal, models, prices, providers, queues, retention, tenants"),
        ("alerts.errors", "not known to this version"),
    ],
)
def test_an_unknown_path_says_what_was_meant(path: str, message: str):
    with pytest.raises(InvalidInput) as caught:
        type_at(parse(path))
    assert message in caught.value.message
    assert caught.value.errors == [FieldError(*caught.value.message.split(": ", 1))]


def test_any_flag_value_is_allowed_inside_a_tenants_flags():
    assert check({"tenants": {"a": {"flags": {"new_prompt": {"deep": [1, None]}}}}}).tenant("a").flags
    type_at(parse("tenants.a.flags.new_prompt.deep"))


def test_defaults_are_what_would_hold():
    settings = Settings(tenants={"*": TenantSettings(weight=2.0)})
    assert default_at(parse("tenants.acme.weight"), settings) == 2.0
    assert default_at(parse("queues.x"), settings) == {"max_depth": 100_000, "paused": False}
    assert default_at(parse("gateway.max_body_bytes"), settings) == 1_048_576
    assert default_at(parse("agents"), settings) == {}
    assert default_at(parse("tenants.acme.flags.unknown"), settings) is None
