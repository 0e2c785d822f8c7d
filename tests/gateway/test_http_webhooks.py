"""Webhook endpoints over HTTP, as the official OpenAI client manages them."""

import asyncio

import httpx2
import msgspec
import openai
import pytest
from tests.gateway.conftest import House

from dayshift.domain import ids, webhooks
from dayshift.domain.webhooks import Delivered

pytestmark = pytest.mark.asyncio(loop_scope="module")
URL = "https://receiver.example/hook?token=hidden"
WHERE = "/v1/webhook_endpoints"


async def made(http: httpx2.AsyncClient, **more: object) -> dict:
    answer = await http.post(WHERE, json={"url": URL, "event_types": ["task.failed"], "name": "mine", **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_the_openai_client_manages_endpoints(house):
    key = await house.make_key("of-openai", "submit", "read")
    async with openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=key, max_retries=0) as client:
        hooks = client.webhooks
        first = await hooks.create(name="first", url=URL, event_types=["task.succeeded", "task.failed"])
        second = await hooks.create(name="second", url=URL, event_types=["task.waiting"])
        assert first.signing_secret.startswith("whsec_")
        assert first.object == "webhook_endpoint"
        assert first.created_at == first.updated_at
        assert [one.id async for one in await hooks.list(limit=1)] == [second.id, first.id]
        changed = await hooks.update(first.id, name="renamed")
        assert (changed.name, changed.url, changed.event_types) == ("renamed", URL, ["task.succeeded", "task.failed"])
        assert (await hooks.retrieve(first.id)).name == "renamed"
        rotated = await hooks.rotate_secret(first.id, keep_old_secret_active_for_24_hours=True)
        assert rotated.signing_secret not in {first.signing_secret, ""}
        assert (await hooks.event_types.list()).data == list(webhooks.EVENT_TYPES)
        deleted = await hooks.delete(second.id)
        assert (deleted.id, deleted.deleted, deleted.object) == (second.id, True, "webhook_endpoint.deleted")
        with pytest.raises(openai.NotFoundError):
            await hooks.retrieve(second.id)
        with pytest.raises(openai.UnprocessableEntityError):
            await hooks.create(name="wrong", url=URL, event_types=["response.completed"])


async def test_a_secret_is_shown_once(http):
    endpoint = await made(http)
    secret = endpoint["signing_secret"]
    assert endpoint["signing_secret_hint"].endswith(secret.rstrip("=")[-4:])
    for answer in (
        await http.get(WHERE),
        await http.get(f"{WHERE}/{endpoint['id']}"),
        await http.post(f"{WHERE}/{endpoint['id']}", json={"name": "other"}),
        await http.delete(f"{WHERE}/{endpoint['id']}"),
    ):
        assert answer.status_code == 200
        assert secret[6:] not in answer.text


async def test_an_unchanged_update_is_no_change_and_a_disabled_endpoint_says_so(house, http):
    endpoint = await made(http)
    where = f"{WHERE}/{endpoint['id']}"
    kept = await house.ledger.webhooks.get(await tenant_of(house, endpoint), endpoint["id"])
    assert (await http.post(where, json={"name": "mine", "enabled": True})).json()["updated_at"] == endpoint[
        "updated_at"
    ]
    same = await house.ledger.webhooks.get(kept.tenant, endpoint["id"])
    assert same.updated_at == kept.updated_at
    off = (await http.post(where, json={"enabled": False})).json()
    assert (off["enabled"], off["disabled_why"]) == (False, "switched off")
    on = (await http.post(where, json={"enabled": True})).json()
    assert (on["enabled"], on["disabled_at"], on["disabled_why"]) == (True, None, None)


async def tenant_of(house: House, endpoint: dict) -> str:
    async with house.ledger._db.connection() as connection:
        return await connection.fetchval("SELECT tenant FROM webhook_endpoints WHERE id = $1", endpoint["id"][3:])


async def test_the_default_secret_signs_for_single_tasks_and_is_shown_when_it_is_rotated(http):
    first = (await http.post(f"{WHERE}/default/rotate_secret")).json()
    second = (await http.post(f"{WHERE}/default/rotate_secret", json={})).json()
    assert first["signing_secret"] != second["signing_secret"]
    shown = (await http.get(f"{WHERE}/default")).json()
    assert (shown["id"], shown["url"], shown["signing_secret_hint"]) == ("default", None, second["signing_secret_hint"])
    assert (await http.get(WHERE)).json()["data"] == []
    for method, where in (
        ("DELETE", f"{WHERE}/default"),
        ("POST", f"{WHERE}/default"),
        ("POST", f"{WHERE}/default/test"),
    ):
        assert (await http.request(method, where, json={})).status_code == 404


async def test_another_tenants_endpoint_does_not_exist(house, http):
    endpoint = await made(http)
    other = house.client(await house.make_key("the-other", "submit", "read"))
    for method, path in (
        ("GET", endpoint["id"]),
        ("POST", endpoint["id"]),
        ("DELETE", endpoint["id"]),
        ("POST", f"{endpoint['id']}/rotate_secret"),
        ("POST", f"{endpoint['id']}/test"),
    ):
        answer = await other.request(method, f"{WHERE}/{path}", json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await other.get(f"{WHERE}?after={endpoint['id']}")).json()["data"] == []
    assert (await http.get(f"{WHERE}/{endpoint['id']}")).json()["name"] == "mine"


async def test_a_key_that_only_reads_makes_no_endpoint(house):
    reader = house.client(await house.make_key("half", "read"))
    answer = await reader.post(WHERE, json={"url": URL, "event_types": ["task.failed"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert (await reader.get(WHERE)).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest",
        "https://10.1.2.3:8443/x",
        "https://user:word@receiver.example/",
        "https://receiver.example:0/",
        "https://receiver.example:70000/",
        "https://receiver.example/#part",
        "https://résumé.example/",
        "ftp://receiver.example/",
        "https://",
        "https://receiver.example/\n",
    ],
)
async def test_addresses_that_no_webhook_may_go_to_are_refused(http, echo, url):
    answer = await http.post(WHERE, json={"url": url, "event_types": ["task.failed"]})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "url")
    answer = await http.post("/v1/tasks", json={**echo, "webhook": {"url": url}})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "webhook.url")


async def test_there_is_a_bound_on_endpoints(http, monkeypatch):
    monkeypatch.setattr("dayshift.gateway.webhooks.MOST_ENDPOINTS", 1)
    await made(http)
    answer = await http.post(WHERE, json={"url": URL, "event_types": ["task.failed"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_endpoints")


async def test_a_test_answers_what_the_receiver_said(house, http):
    endpoint = await made(http)
    testing = asyncio.create_task(http.post(f"{WHERE}/{endpoint['id']}/test", json={"event_type": "task.failed"}))
    delivery_id = await a_delivery(house)
    output = msgspec.to_builtins(Delivered(webhook_id="evt_", outcome="test", status_code=418))
    await house.finish(delivery_id, output)
    answer = await testing
    assert answer.json() == {
        "object": "webhook_endpoint.test",
        "webhook_endpoint_id": endpoint["id"],
        "event_type": "task.failed",
        "status_code": 418,
        "success": True,
    }


async def test_a_test_that_nobody_answers_or_delivers_is_a_problem(house, http, monkeypatch):
    endpoint = await made(http)
    testing = asyncio.create_task(http.post(f"{WHERE}/{endpoint['id']}/test"))
    await house.services.control.cancel(await a_delivery(house), await tenant_of(house, endpoint))
    answer = await testing
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook_unreachable")
    assert answer.headers["x-should-retry"] == "false"
    monkeypatch.setattr("dayshift.gateway.webhooks.TEST_SECONDS", 0.1)
    answer = await http.post(f"{WHERE}/{endpoint['id']}/test")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_worker")


async def a_delivery(house: House) -> str:
    async with asyncio.timeout(10), house.ledger._db.connection() as connection:
        while True:
            row = await connection.fetchrow(
                "SELECT id FROM tasks WHERE agent = $1 AND status = 'queued'", webhooks.AGENT
            )
            if row is not None:
                return f"{ids.TASK}{row['id']}"
            await asyncio.sleep(0.02)


async def test_nobody_submits_to_the_agents_of_the_house(http):
    answer = await http.post("/v1/tasks", json={"agent": webhooks.AGENT, "input": {}})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_agent")


async def test_a_task_with_a_webhook_is_accepted_and_its_address_is_not_shown(http, echo):
    answer = await http.post("/v1/tasks", json={**echo, "webhook": {"url": URL}})
    assert answer.status_code == 202
    assert "hidden" not in answer.text
    answer = await http.post(
        "/v1/tasks/batch", json={"tasks": [{**echo, "webhook": {"url": url}} for url in (URL, "http://x")]}
    )
    assert [one.get("status") for one in answer.json()["data"]] == ["queued", 422]
