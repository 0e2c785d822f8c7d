"""Limits per tenant and per user: the headers say what is left, and a 429 when to come back."""

import asyncio
import math
import re
import uuid

import msgspec
import pytest
from tests.gateway.conftest import ECHO

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import PlaneAway
from dayshift.tasks import rates

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def limited(house, **section: object):
    """A client of a tenant of its own, with those settings in force here."""
    tenant = f"tenant-{uuid.uuid4().hex[:8]}"
    client = house.client(await house.make_key(tenant, "admin"))
    await configure(house, client, f"tenants.{tenant}", section)
    return client


async def configure(house, client, path: str, value: object) -> None:
    put = await client.put(f"/v1/settings/{path}", json={"value": value})
    assert put.status_code == 200, put.text
    await house.live_settings.refresh_if(put.json()["version"])


def left(reply, name: str) -> int:
    return int(re.search(f'"{name}";r=(\\d+);t=\\d+', reply.headers["ratelimit"]).group(1))


async def test_headers_count_down_and_then_it_is_refused(house, echo):
    client = await limited(house, limits={"requests_per_minute": 3, "requests_per_day": 100})
    replies = [await client.post("/v1/tasks", json=echo) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [202, 202, 202, 429]
    assert [left(reply, "minute") for reply in replies] == [2, 1, 0, 0]
    assert [left(reply, "day") for reply in replies] == [99, 98, 97, 97]
    refused = replies[-1]
    assert refused.headers["ratelimit-policy"] == '"minute";q=3;w=60, "day";q=100;w=86400'
    assert refused.json()["code"] == "rate_limited"
    assert 1 <= refused.json()["retry_after"] == int(refused.headers["retry-after"]) <= 61


async def test_a_user_at_its_limit_harms_no_other(house, echo):
    client = await limited(house, user_limits={"requests_per_minute": 1})
    statuses = [(await client.post("/v1/tasks", json={**echo, "user": who})).status_code for who in ("a", "a", "b")]
    assert statuses == [202, 429, 202]
    assert (await client.post("/v1/tasks", json=echo)).status_code == 202


async def test_a_batch_costs_its_tasks_and_is_taken_whole_or_not(house, echo):
    client = await limited(house, limits={"requests_per_minute": 5})
    first = await client.post("/v1/tasks/batch", json={"tasks": [echo] * 3})
    assert (first.status_code, left(first, "minute")) == (202, 2)
    second = await client.post("/v1/tasks/batch", json={"tasks": [echo] * 3})
    assert (second.status_code, left(second, "minute")) == (429, 2)
    never = await client.post("/v1/tasks/batch", json={"tasks": [echo] * 6})
    assert (never.status_code, never.json()["code"]) == (422, "over_limit")


async def test_a_repeat_costs_nothing_and_is_answered_at_the_limit_too(house, echo):
    client = await limited(house, limits={"requests_per_minute": 2}, user_limits={"requests_per_minute": 5})
    asked = {**echo, "user": "ann"}
    first = await client.post("/v1/tasks", json=asked, headers={"idempotency-key": "one"})
    again = await client.post("/v1/tasks", json=asked, headers={"idempotency-key": "one"})
    assert [(reply.status_code, left(reply, "minute"), left(reply, "user-minute")) for reply in (first, again)] == [
        (202, 1, 4)
    ] * 2
    assert (await client.post("/v1/tasks", json=asked)).status_code == 202
    at_the_limit = await client.post("/v1/tasks", json=asked, headers={"idempotency-key": "one"})
    assert (at_the_limit.status_code, left(at_the_limit, "minute")) == (202, 0)
    assert at_the_limit.headers["idempotent-replayed"] == "true"
    assert at_the_limit.json()["id"] == first.json()["id"]
    for other in ({**asked, "input": {"text": "other"}}, {**asked, "agent": "nobody"}):
        refused = await client.post("/v1/tasks", json=other, headers={"idempotency-key": "one"})
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")


async def test_what_becomes_no_task_costs_nothing(house, echo):
    client = await limited(house, limits={"requests_per_minute": 3})
    for wrong in ({"agent": "nobody"}, {**echo, "input": 7}, {**echo, "priority": 99}):
        assert (await client.post("/v1/tasks", json=wrong)).status_code == 422
    items = [{**echo, "idempotency_key": "a"}, {**echo, "idempotency_key": "a"}, {"agent": "nobody"}]
    batch = await client.post("/v1/tasks/batch", json={"tasks": items})
    assert left(batch, "minute") == 2
    assert left(await client.post("/v1/tasks", json=echo), "minute") == 1


async def test_a_task_costs_what_its_agent_does_and_a_batch_the_sum(house, echo):
    client = await limited(house, limits={"requests_per_minute": 10}, user_limits={"requests_per_minute": 5})
    await house.register(msgspec.structs.replace(ECHO, name="heavy"))
    await configure(house, client, "agents.heavy.rate_cost", 3)
    heavy = {**echo, "agent": "heavy", "user": "ann"}
    one = await client.post("/v1/tasks", json=heavy)
    assert (left(one, "minute"), left(one, "user-minute")) == (7, 2)
    assert (await client.post("/v1/tasks", json=heavy)).json()["code"] == "rate_limited"
    both = await client.post("/v1/tasks/batch", json={"tasks": [{**heavy, "user": "bob"}, echo]})
    assert (both.status_code, left(both, "minute"), left(both, "user-minute")) == (202, 3, 2)
    never = await client.post("/v1/tasks/batch", json={"tasks": [heavy, heavy]})
    assert (never.status_code, never.json()["code"]) == (422, "over_limit")


async def test_without_limits_nothing_is_said(http, echo):
    assert "ratelimit" not in (await http.post("/v1/tasks", json=echo)).headers


async def test_without_valkey_work_is_let_through(house, echo, monkeypatch):
    client = await limited(house, limits={"requests_per_minute": 1})
    assert (await client.post("/v1/tasks", json=echo)).status_code == 202

    async def away(*_arguments: object) -> None:
        raise PlaneAway("Valkey does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(house.plane, "take_rates", away)
        passed = await client.post("/v1/tasks", json=echo)
    assert (passed.status_code, "ratelimit" in passed.headers) == (202, False)
    assert (await client.post("/v1/tasks", json=echo)).status_code == 429


async def test_a_limit_changes_while_running(house, echo):
    client = await limited(house, limits={"requests_per_minute": 1})
    tenant = (await client.post("/v1/tasks", json=echo)).json()["tenant"]
    assert (await client.post("/v1/tasks", json=echo)).status_code == 429
    await configure(house, client, f"tenants.{tenant}.limits.requests_per_minute", 2)
    assert [(await client.post("/v1/tasks", json=echo)).status_code for _ in range(2)] == [202, 429]


async def test_who_obeys_is_never_refused_and_who_does_not_is_held(house, echo, monkeypatch):
    monkeypatch.setattr(rates, "MINUTE_SECONDS", 1)
    quota, until = 10, monotonic_seconds() + 4.5
    obeying, greedy = [await limited(house, limits={"requests_per_minute": quota}) for _ in range(2)]

    async def obey() -> list[int]:
        statuses = []
        while monotonic_seconds() < until:
            reply = await obeying.post("/v1/tasks", json=echo)
            statuses.append(reply.status_code)
            if left(reply, "minute") == 0:
                await asyncio.sleep(int(re.search(r";t=(\d+)", reply.headers["ratelimit"]).group(1)))
        return statuses

    async def ignore() -> tuple[int, int]:
        begun, statuses = monotonic_seconds(), []
        while monotonic_seconds() < until:
            statuses.append((await greedy.post("/v1/tasks", json=echo)).status_code)
        return statuses.count(202), math.floor(monotonic_seconds() - begun) + 1

    statuses, (admitted, windows) = await asyncio.gather(obey(), ignore())
    assert set(statuses) == {202}
    assert len(statuses) >= 2 * quota
    assert (windows - 2) * quota <= admitted <= windows * quota
