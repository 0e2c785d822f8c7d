"""Probes, metrics, the description of itself, and leaving without a failed request."""

import asyncio
import re
from pathlib import Path

import httpx2
import pytest

from dayshift.domain.events import HttpRequest
from dayshift.gateway.openapi import describe
from dayshift.telemetry import subscribe

in_the_shared_house = pytest.mark.asyncio(loop_scope="module")


async def test_it_is_alive_and_ready(own_house):
    http = own_house.client()
    assert (await http.get("/livez")).status_code == 200
    ready = await http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "dependencies": {"postgresql": "ok", "valkey": "ok"},
        "schema": "current",
    }
    own_house.app.drain.begin()
    assert (await http.get("/livez")).status_code == 200
    assert ((await http.get("/readyz")).status_code, (await http.get("/readyz")).json()["status"]) == (503, "draining")


@in_the_shared_house
async def test_metrics_are_served(http):
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")


@in_the_shared_house
async def test_the_page_says_what_this_is(http):
    answer = await http.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    for link in re.findall(r'href="([^"]+)"', answer.text):
        assert (await http.get(link)).status_code == 200


@in_the_shared_house
async def test_every_route_is_in_the_description(http, house):
    document = (await http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(route.method, route.template) for route in house.app.table}
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))
    for reference in re.findall(r'"#/components/schemas/([^"]+)"', str(describe(house.app.table)).replace("'", '"')):
        assert reference in document["components"]["schemas"]
    request_schema = document["components"]["schemas"]["TaskRequest"]
    assert request_schema["required"] == ["agent"]
    assert request_schema["additionalProperties"] is False


@in_the_shared_house
async def test_every_route_is_in_the_reference(house):
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text()
    for route in house.app.table:
        assert f"| `{route.method} {route.template}` | {route.scope or '-'} |" in reference


@in_the_shared_house
async def test_each_request_is_an_event_with_its_route(http, echo):
    seen = []
    end = subscribe(HttpRequest, seen.append)
    task = (await http.post("/v1/tasks", json=echo)).json()
    await http.get(f"/v1/tasks/{task['id']}")
    await http.get("/nowhere/at/all")
    end()
    assert [(event.method, event.route, event.status) for event in seen] == [
        ("POST", "/v1/tasks", 202),
        ("GET", "/v1/tasks/{id}", 200),
        ("GET", "(none)", 404),
    ]
    assert all(event.duration_seconds > 0 for event in seen)


async def test_a_leaving_gateway_serves_closes_and_hints(own_house, echo):
    http = own_house.client()
    task = (await http.post("/v1/tasks", json=echo)).json()
    poll = asyncio.create_task(own_house.client().get(f"/v1/tasks/{task['id']}?wait=30"))
    submit = asyncio.create_task(own_house.client().post("/v1/tasks", json=echo, headers={"prefer": "wait=30"}))
    idle = own_house.client()
    await idle.get("/livez")
    await asyncio.sleep(0.2)
    own_house.draining.set()
    async with asyncio.timeout(2):
        polled, waited = await poll, await submit
    for answer, status in ((polled, 200), (waited, 202)):
        assert (answer.status_code, answer.json()["status"]) == (status, "queued")
        assert answer.headers["connection"] == "close"
        assert answer.headers["retry-after"]
    served = await idle.post("/v1/tasks", json=echo)  # on the connection that it has
    assert (served.status_code, served.headers["connection"]) == (202, "close")
    async with asyncio.timeout(5):
        await own_house._serving
    try:
        await idle.get("/livez")
    except httpx2.ConnectError:
        return
    raise AssertionError("it still accepts connections")


async def test_what_is_not_answered_when_the_grace_is_over_is_asked_to_come_again(own_house, echo, monkeypatch):
    reached = asyncio.Event()

    async def never(*_arguments, **_named):  # as with a ledger that hangs
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(own_house.services.intake, "submit", never)
    submit = asyncio.create_task(own_house.client().post("/v1/tasks", json=echo))
    await reached.wait()
    own_house.draining.set()
    async with asyncio.timeout(15):
        answer = await submit
    assert (answer.status_code, answer.json()["code"]) == (503, "draining")
    assert answer.headers["retry-after"]
