"""Settings, keys and lists over HTTP, and who may do what."""

import asyncio

import pytest

from dayshift.domain import api_keys
from dayshift.domain.clock import monotonic_seconds
from dayshift.ledger import NewKey


async def made_key(house, tenant="acme", scopes=("submit", "read")):
    """A key made past the gateway, as the command line does."""
    made = api_keys.make_key()
    await house.ledger.keys.create(
        NewKey(id=made.id, hash=made.hash, prefix=made.prefix, tenant=tenant, scopes=list(scopes))
    )
    return made


async def answers(client, status, path="/v1/tasks"):
    """Seconds until `path` answers with that status."""
    begun = monotonic_seconds()
    async with asyncio.timeout(5):
        while (await client.get(path)).status_code != status:
            await asyncio.sleep(0.02)
    return monotonic_seconds() - begun


async def test_a_key_opens_and_a_revoked_one_is_refused_within_a_second(house):
    made = await made_key(house)
    client = house.client(made.secret)
    await answers(client, 200)
    assert await house.ledger.keys.revoke(made.id)
    assert await answers(client, 401) < 1.2
    assert (await house.client().get("/v1/tasks")).status_code == 401  # the loopback shut when a key was made


async def test_keys_are_made_listed_and_revoked(house, http):
    answer = await http.post("/v1/keys", json={"tenant": "ops", "scopes": ["admin"]})
    made = answer.json()
    assert answer.status_code == 201
    assert set(made) >= {"id", "key", "tenant", "scopes"}
    assert made["key"].startswith("dsk_")
    admin = house.client(made["key"])
    other = (await admin.post("/v1/keys", json={"tenant": "acme", "expires_at": "2099-01-01T00:00:00Z"})).json()
    assert other["scopes"] == ["submit", "read"]
    listed = (await admin.get("/v1/keys")).json()["data"]
    assert [key["id"] for key in listed] == [other["id"], made["id"]]
    assert set(listed[0]) == {
        "id",
        "prefix",
        "tenant",
        "scopes",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    }
    assert other["key"].startswith(listed[0]["prefix"])
    acme = house.client(other["key"])
    assert (await acme.get("/v1/tasks")).status_code == 200
    assert (await admin.delete(f"/v1/keys/{other['id']}")).status_code == 204
    assert (await acme.get("/v1/tasks")).status_code == 401  # at once, where it was revoked
    assert (await admin.delete(f"/v1/keys/{other['id']}")).status_code == 204
    assert (await admin.delete("/v1/keys/key_0190163d-8694-739b-aea5-966c26f8ad91")).status_code == 404
    assert (await admin.get("/v1/keys")).json()["data"][0]["revoked_at"]


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
    assert (await http.post("/v1/keys", json=body)).status_code == 422
    assert (await http.get("/v1/keys")).json()["data"] == []


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
    made = await made_key(house, scopes=scopes)
    await house.app.keys.refresh()
    body = {"value": {"paused": True}} if method == "PUT" else echo
    answer = await house.client(made.secret).request(method, path, **({} if method == "GET" else {"json": body}))
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
    history = (await http.get("/v1/settings/history")).json()
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
    answer = await http.put(f"/v1/settings/{path}", json={"value": value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"].startswith(path.split(".")[0])
    assert (await http.get("/v1/settings/history")).json()["data"] == []


async def test_what_is_registered_waiting_and_alive(http, house, echo):
    await http.post("/v1/tasks", json=echo)
    await house.ledger.tasks.measure_depths()
    [agent] = (await http.get("/v1/agents")).json()["data"]
    assert (agent["name"], agent["queue"], agent["versions"], agent["workers"]) == ("echo", "default", ["1"], 1)
    assert agent["input_schema"]["required"] == ["text"]
    [queue] = (await http.get("/v1/queues")).json()["data"]
    assert set(queue) == {"name", "ready", "delayed", "running", "waiting", "oldest_seconds"}
    assert (queue["name"], queue["ready"]) == ("default", 1)
    [worker] = (await http.get("/v1/workers")).json()["data"]
    assert (worker["id"], worker["agents"], worker["slots"]) == (house.worker_id, ["echo"], 10)


async def test_a_tenant_counts_its_own(http, house, echo):
    made = await made_key(house)
    admin = await made_key(house, scopes=["admin"])
    await house.app.keys.refresh()
    await house.client(made.secret).post("/v1/tasks", json=echo)
    other = await made_key(house, tenant="zeta")
    await house.app.keys.refresh()
    await house.ledger.tasks.measure_depths()
    for key, ready in ((made, 1), (other, 0), (admin, 1)):
        [queue] = (await house.client(key.secret).get("/v1/queues")).json()["data"]
        assert queue["ready"] == ready
