"""What a request may say: each fault has its path, and nothing unfit reaches a row."""

import enum
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dayshift.domain.errors import InvalidInput, WrongUse
from dayshift.tasks import TaskRequest, inputs, json_values
from dayshift.tasks.inputs import WebhookRequest
from dayshift.tasks.json_values import Unfit
from dayshift.tasks.schemas import InputSchema


def faults_of(**said: object) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        inputs.check(TaskRequest(agent=said.pop("agent", "echo"), **said))
    return [fault.path for fault in caught.value.errors]


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"agent": ""}, "agent"),
        ({"agent": "a\0b"}, "agent"),
        ({"user": "x" * 256}, "user"),
        ({"user": "\ud800"}, "user"),
        ({"conversation": ""}, "conversation"),
        ({"conversation": "a\0"}, "conversation"),
        ({"idempotency_key": "k" * 256}, "idempotency_key"),
        ({"priority": 10}, "priority"),
        ({"priority": -1}, "priority"),
        ({"delay": -0.1}, "delay"),
        ({"delay": float("nan")}, "delay"),
        ({"delay": float("inf")}, "delay"),
        ({"delay": 1e12}, "delay"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"run_at": datetime(2030, 1, 1)}, "run_at"),  # noqa: DTZ001 - the fault is the missing zone
        ({"run_at": datetime(9999, 1, 1, tzinfo=UTC)}, "run_at"),
        ({"expires_at": datetime(2001, 1, 1, tzinfo=UTC)}, "expires_at"),
        ({"webhook": WebhookRequest(url="ftp://a")}, "webhook.url"),
        ({"webhook": WebhookRequest(url="https://")}, "webhook.url"),
        ({"metadata": msgspec.Raw(b"[1]")}, "metadata"),
        ({"input": msgspec.Raw(b'"\xff"')}, "input"),
        ({"input": msgspec.Raw(b'{"a":["\\u0000"]}')}, "input.a[0]"),
        ({"input": msgspec.Raw(b'{"\\u0000":1}')}, "input, a key"),
        ({"input": msgspec.Raw(b'{"a":1e400}')}, "input"),
        ({"input": msgspec.Raw(b'{"a":' + b"9" * 400 + b"}")}, "input.a"),
        ({"input": msgspec.Raw(b'"\\ud800"')}, "input"),
        ({"input": msgspec.Raw(b"[" * 65 + b"]" * 65)}, "input"),
        ({"input": msgspec.Raw(b"[" * 50_000 + b"]" * 50_000)}, "input"),
        ({"input": msgspec.Raw(b"{nonsense")}, "input"),
    ],
)
def test_each_fault_is_named_by_its_path(said: dict[str, object], path: str) -> None:
    assert faults_of(**said) == [path]


def test_faults_are_told_all_at_once() -> None:
    assert faults_of(user="", priority=11, input=msgspec.Raw(b"nope")) == ["user", "priority", "input"]


def test_delay_and_run_at_exclude_each_other() -> None:
    assert faults_of(delay=1, run_at=datetime(2026, 12, 1, tzinfo=UTC)) == ["delay"]


def test_it_must_be_able_to_run_before_it_expires() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=60)
    assert faults_of(delay=120, expires_at=soon) == ["expires_at"]
    inputs.check(TaskRequest(agent="echo", delay=10, expires_at=soon))


def test_sixty_four_levels_are_fine() -> None:
    inputs.check(TaskRequest(agent="echo", input=msgspec.Raw(b"[" * 64 + b"]" * 64)))


def test_the_same_meaning_has_the_same_fingerprint() -> None:
    def fingerprint(raw: bytes, **said: object) -> bytes:
        request = TaskRequest(agent="echo", input=msgspec.Raw(raw), **said)
        return inputs.fingerprint(request, inputs.check(request))

    base = fingerprint(b'{"a": 1, "b": [2.0]}')
    assert fingerprint(b'{"b":[2],\n"a":1.0}') == base
    assert fingerprint(b'{"a": 1, "b": [2.0]}', idempotency_key="k") == base
    assert fingerprint(b'{"a": 1, "b": [2.5]}') != base
    assert fingerprint(b'{"a": 1, "b": [2.0]}', priority=6) != base
    assert fingerprint(b'{"a": true, "b": [2.0]}') != base


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200) | st.text().map(lambda text: msgspec.json.encode(text)))
def test_any_bytes_are_parsed_or_refused_and_nothing_else(raw: bytes) -> None:
    try:
        value = json_values.parse(raw, "input")
    except Unfit:
        return
    assert "\\u0000" not in msgspec.json.encode(value).decode()


ONE = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"], "additionalProperties": False}


def schema(said: object) -> InputSchema:
    return InputSchema(msgspec.json.encode(said))


def test_one_parameter_takes_its_bare_value_and_by_name_wins() -> None:
    one = schema(ONE)
    assert one.normalised("hi", b'"hi"') == b'{"q":"hi"}'
    assert one.normalised({"q": "hi"}, b'{"q": "hi"}') == b'{"q": "hi"}'
    thing = schema({**ONE, "properties": {"q": {"type": "object"}}})
    assert thing.normalised({"a": 1}, b'{"a":1}') == b'{"q":{"a":1}}'
    assert thing.normalised({"q": {}}, b'{"q":{}}') == b'{"q":{}}'


def test_no_parameters_take_nothing_or_null() -> None:
    nothing = schema({"type": "object", "properties": {}, "additionalProperties": False})
    assert nothing.normalised({}, b"{}") == b"{}"
    assert nothing.normalised(None, b"null") == b"{}"


def test_what_fails_the_schema_is_told_by_path_and_shortly() -> None:
    items = {"type": "object", "properties": {"items": {"type": "array", "items": {"type": "integer"}}}}
    with pytest.raises(InvalidInput) as caught:
        schema(items).normalised({"items": [1, "x" * 10_000]}, b"")
    (fault,) = caught.value.errors
    assert fault.path == "input.items[1]"
    assert len(fault.message) < 400


class Speed(enum.Enum):
    SLOW = "slow"
    FAST = "fast"


def test_a_value_that_is_none_of_a_few_is_told_with_the_few_also_where_there_may_be_none() -> None:
    for hint in (Speed, Speed | None, Literal["slow", "fast"], Literal["slow", "fast"] | None):
        (shape,), definitions = msgspec.json.schema_components([hint], ref_template="#/$defs/{name}")
        with pytest.raises(InvalidInput) as caught:
            schema({"type": "object", "properties": {"speed": shape}, "$defs": definitions}).normalised(
                {"speed": "up"}, b""
            )
        (fault,) = caught.value.errors
        assert fault.path == "input.speed"
        assert all(f'"{word}"' in fault.message for word in ("up", "slow", "fast"))


def test_a_schema_that_points_elsewhere_is_refused_not_fetched() -> None:
    with pytest.raises(WrongUse):
        schema({"$ref": "http://127.0.0.1:9/x.json"})
