"""Settings, keys and lists over HTTP, and who may do what."""

import asyncio

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tenant": ""},
        {"tenant": "*"},
        {"tenant": "a", "scopes": []},
        {"tenant": "a", "scopes": ["root"]},
        {"tenant": "a", "expires_at": "2020-01-01T00:00:00Z"},
        {"tenant": "a", "expires_at": "2030-01-01T00:00:00"},
        {"tenant": "a", "surprise": 1},
    ],
)
async def test_a_bad_key_request_is_refused(http, body):
    before = (await http.get("/v1/keys?limit=1")).json()["data"]
    assert (await http.post("/v1/keys", json=body)).status_code == 422
    after = (await http.get("/v1/keys?limit=1")).json()["data"]
    assert [key["id"] for key in after] == [key["id"] for key in before]


@pytest.mark.parametrize(
    ("scopes", "asked", "status"),
    [
        (["read"], "GET /v1/tasks", 200),
        (["read"], "POST /v1/tasks", 403),
        (["submit"], "POST /v1/tasks", 202),
        (["submit"], "GET /v1/tasks", 200),
        (["submit", "read"], "GET /v1/keys", 403),
        (["submit", "read"], "PUT /v1/settings/queues.default", 403),
        (["submit", "read"], "GET /v1/settings/history", 403),
        (["admin"], "GET /v1/keys", 200),
        (["admin"], "POST /v1/tasks", 202),
    ],
)
async def test_scopes(house, echo, scopes, asked, status):
    method, path = asked.split()
    api_key = await house.make_key("scopes", *scopes)
    body = {"value": {"paused": True}} if method == "PUT" else echo
    answer = await house.client(api_key).request(method, path, **({} if method == "GET" else {"json": body}))
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "scope_missing"


async def test_settings_are_written_read_and_unset(http):
    written = await http.put("/v1/settings/tenants.acme", json={"value": {"weight": 3}, "why": "they pay for it"})
    change = written.json()
    assert written.status_code == 200
    assert {name: change[name] for name in ("path", "value", "why")} == {
        "path": "tenants.acme",
        "value": {"weight": 3},
        "why": "they pay for it",
    }
    assert change["by"]
    assert change["at"]
    assert written.headers["etag"] == f'"{change["version"]}"'
    assert (await http.get("/v1/settings/tenants.acme")).json()["value"] == {"weight": 3}
    history = (await http.get("/v1/settings/history?limit=1")).json()
    assert [one["version"] for one in history["data"]] == [change["version"]]
    unset = await http.delete("/v1/settings/tenants.acme?why=over")
    assert unset.status_code == 200
    assert unset.json()["version"] > change["version"]


async def test_of_two_writers_one_is_told(http):
    first = (await http.put("/v1/settings/queues.default", json={"value": {"max_depth": 5}})).json()["version"]
    if_match = {"if-match": str(first)}
    second = await http.put("/v1/settings/queues.default", json={"value": {"max_depth": 6}}, headers=if_match)
    assert second.status_code == 200
    late = await http.put("/v1/settings/queues.default", json={"value": {"max_depth": 7}}, headers=if_match)
    assert late.status_code == 412
    assert (await http.delete("/v1/settings/queues.default", headers=if_match)).status_code == 412
    assert (await http.get("/v1/settings/queues.default")).json()["value"] == {"max_depth": 6}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("queues.default", {"max_depth": -1}),
        ("queues.default", {"surprise": 1}),
        ("queues.default.max_depth", "many"),
        ("nothing.at.all", 1),
        ("tenants.acme.weight", 0),
    ],
)
async def test_a_bad_setting_is_refused_with_its_path(http, path, value):
    before = (await http.get("/v1/settings/history?limit=1")).json()["data"]
    answer = await http.put(f"/v1/settings/{path}", json={"value": value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"].startswith(path.split(".")[0])
    assert (await http.get("/v1/settings/history?limit=1")).json()["data"] == before


async def test_what_is_registered_and_alive(http, house):
    [agent] = (await http.get("/v1/agents")).json()["data"]
    assert (agent["name"], agent["queue"], agent["versions"], agent["workers"]) == ("echo", "default", ["1"], 1)
    assert agent["input_schema"]["required"] == ["text"]
    [worker] = (await http.get("/v1/workers")).json()["data"]
    assert (worker["id"], worker["agents"], worker["slots"]) == (house.worker_id, ["echo"], 10)


async def test_a_tenant_counts_its_own(house, echo):
    acme, zeta = [house.client(await house.make_key(tenant, "submit")) for tenant in ("counts-a", "counts-z")]
    operator = house.client(await house.make_key("operator", "admin"))
    await acme.post("/v1/tasks", json=echo)
    await house.ledger.tasks.measure_depths()
    async with asyncio.timeout(5):
        while not (await ready_in_default(acme)):
            await asyncio.sleep(0.05)
    assert await ready_in_default(acme) == 1
    assert await ready_in_default(zeta) == 0
    assert await ready_in_default(operator) >= 1


async def ready_in_default(client):
    [queue] = [one for one in (await client.get("/v1/queues")).json()["data"] if one["name"] == "default"]
    assert set(queue) == {"name", "ready", "delayed", "running", "waiting", "oldest_seconds"}
    return queue["ready"]
