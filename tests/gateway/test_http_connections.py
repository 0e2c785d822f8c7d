"""A tenant holds only so many streams and waits open on a gateway; nothing is done for what is refused, and who leaves makes room."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from tests.gateway.test_http_rate_limits import limited

from dayshift.domain.settings import Settings, TenantSettings
from dayshift.gateway.connections import Connections

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def two_held(house, client, echo):
    """A stream and a long-poll of one task, which is given."""
    task = (await client.post("/v1/tasks", json=echo)).json()
    held = house.app.connections.held
    polling = asyncio.create_task(client.get(f"/v1/tasks/{task['id']}", params={"wait": 60}))
    async with client.stream("GET", f"/v1/tasks/{task['id']}/events") as stream:
        assert stream.status_code == 200
        await until(lambda: held[task["tenant"]] == 2)
        yield task
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    await until(lambda: task["tenant"] not in held)


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_one_more_is_refused_with_nothing_done_until_one_has_left(house, echo):
    client, other = [await limited(house, connections=2) for _ in range(2)]
    async with two_held(house, client, echo) as task:
        where = f"/v1/tasks/{task['id']}"
        for refused in (
            await client.get(where, params={"wait": 1}),
            await client.get(f"{where}/events"),
            await client.post("/v1/tasks", json=echo, headers={"prefer": "wait=1"}),
            await client.post("/v1/responses", json={"model": "echo", "input": "hi"}),
            await client.post("/v1/responses", json={"model": "echo", "input": "hi", "stream": True}),
        ):
            assert refused.status_code == 429, refused.text
            assert "connections_full" in refused.text
            assert 1 <= int(refused.headers["retry-after"]) <= 5
        assert [one["id"] for one in (await client.get("/v1/tasks")).json()["data"]] == [task["id"]]
        assert (await client.get(where)).json()["status"] == "queued"
        assert (await client.post("/v1/tasks", json=echo)).status_code == 202
        async with two_held(house, other, echo):
            pass
    async with two_held(house, client, echo):
        pass


async def test_a_wait_for_what_has_ended_holds_nothing(house, echo):
    client = await limited(house, connections=0)
    task = (await client.post("/v1/tasks", json=echo)).json()
    assert (await client.get(f"/v1/tasks/{task['id']}", params={"wait": 1})).status_code == 429
    await client.post(f"/v1/tasks/{task['id']}/cancel")
    assert (await client.get(f"/v1/tasks/{task['id']}", params={"wait": 1})).json()["status"] == "cancelled"


async def test_no_tenant_takes_more_than_half_of_a_process():
    settings = Settings(tenants={"acme": TenantSettings(connections=100)})
    connections = Connections(lambda: settings, most_of_one=3)
    held = [connections.hold("acme") for _ in range(3)]
    with pytest.raises(Exception, match="3 streams and waits open"):
        connections.hold("acme")
    connections.hold("other")
    for _ in range(2):
        held[0].end()
    held.append(connections.hold("acme"))
    with pytest.raises(Exception, match=r"raise tenants\.acme\.connections"):
        connections.hold("acme")
