import json

import pytest

import dayshift
from dayshift import Context, Retry
from dayshift.agents import CallMeter, bind, close_clients
from dayshift.agents.context import EMIT_LIMIT_BYTES
from dayshift.domain import clock
from dayshift.domain.errors import WrongUse


def test_there_is_no_current_context_outside_a_task():
    with pytest.raises(WrongUse, match="no task runs here"):
        dayshift.current()


async def test_the_bound_context_is_the_current_one():
    context = Context.local("a")
    bind(context)
    assert dayshift.current() is context
    assert context.agent == "a"
    assert 0 < context.seconds_left <= 300


async def test_emit_takes_what_json_can_say():
    sent = []
    local = Context.local()
    context = Context(**{name: getattr(local, name) for name in local.__struct_fields__} | {"_sink": sent.append})
    context.emit("looking", order=5)
    assert json.loads(sent[0]) == {"name": "looking", "order": 5}
    await local.emit("nobody", listens=True)


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("", {}, "1-100"),
        ("x" * 101, {}, "1-100"),
        (5, {}, "1-100"),
        ("a", {"task_id": 1}, "task_id; rename"),
        ("a", {"name": 1}, "name; rename"),
        ("a", {"x": float("nan")}, "finite"),
        ("a", {"x": "\ud800"}, "Unicode"),
        ("a", {"x": object()}, "object"),
        ("a", {"x": "y" * EMIT_LIMIT_BYTES}, "emit its address"),
    ],
)
def test_emit_refuses_what_it_cannot_send(name, fields, words):
    with pytest.raises(WrongUse, match=words):
        Context.local().emit(name, **fields)


@pytest.mark.parametrize("after", [-1, float("nan"), float("inf"), 1e9])
def test_retry_refuses_a_wait_that_makes_no_sense(after):
    with pytest.raises(WrongUse, match="Retry"):
        Retry(after=after)


def test_calls_side_by_side_are_not_counted_twice():
    meter = CallMeter()
    for started, ended in [(0.0, 10.0), (2.0, 3.0), (9.0, 12.0), (20.0, 21.0)]:
        meter.add(started, ended)
    assert meter.seconds == pytest.approx(13.0)


def test_each_moment_is_counted_once_for_calls_then_commits_then_tools(monkeypatch):
    meter, times = CallMeter(), iter([5.0, 30.0])
    monkeypatch.setattr(clock, "monotonic_seconds", lambda: next(times))
    with meter.working():
        meter.add(10.0, 20.0)
    meter.add_commit(18.0, 21.0)
    meter.add_commit(29.0, 32.0)
    assert (meter.seconds, meter.ledger_seconds, meter.tools_seconds) == (10.0, 1.0 + 3.0, 5.0 + 8.0)


async def test_the_official_clients_are_made_from_the_environment_and_shared(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://provider/v1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    context = Context.local()
    assert str(context.openai().base_url) == "http://provider/v1/"
    assert context.openai() is context.openai()
    assert context.anthropic() is context.anthropic()
    assert context.http() is context.http()
    first, plain = context.openai(), context.http()
    await close_clients()
    assert first.is_closed()
    assert plain.is_closed
    assert context.openai() is not first
    await close_clients()


async def test_a_missing_key_or_sdk_says_the_cure(monkeypatch):
    import sys

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(WrongUse, match="OPENAI_API_KEY"):
        Context.local().openai()
    monkeypatch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(WrongUse, match="pip install anthropic"):
        Context.local().anthropic()


def _with_meter(meter):
    local = Context.local()
    return Context(**{name: getattr(local, name) for name in local.__struct_fields__} | {"_meter": meter})
