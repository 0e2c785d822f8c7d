"""Keys over HTTP, from the first one, which shuts the open loopback, to the last."""

import asyncio

from dayshift.domain.clock import monotonic_seconds


async def answers(client, status, path="/v1/tasks"):
    """Seconds until `path` answers with that status."""
    begun = monotonic_seconds()
    async with asyncio.timeout(5):
        while (await client.get(path)).status_code != status:
            await asyncio.sleep(0.02)
    return monotonic_seconds() - begun


async def test_a_key_opens_and_a_revoked_one_is_refused_within_a_second(own_house):
    assert (await own_house.client().get("/v1/tasks")).status_code == 200
    made = await own_house.make_key_silently("acme", "read")
    client = own_house.client(made.secret)
    await answers(client, 200)
    assert await own_house.ledger.keys.revoke(made.id)
    assert await answers(client, 401) < 1.2
    assert (await own_house.client().get("/v1/tasks")).status_code == 401  # the loopback shut when a key was made


async def test_keys_are_made_listed_and_revoked(own_house):
    answer = await own_house.client().post("/v1/keys", json={"tenant": "ops", "scopes": ["admin"]})
    made = answer.json()
    assert answer.status_code == 201
    assert set(made) >= {"id", "key", "tenant", "scopes"}
    assert made["key"].startswith("dsk_")
    admin = own_house.client(made["key"])
    other = (await admin.post("/v1/keys", json={"tenant": "acme", "expires_at": "2099-01-01T00:00:00Z"})).json()
    assert other["scopes"] == ["read", "submit"]
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
    acme = own_house.client(other["key"])
    assert (await acme.get("/v1/tasks")).status_code == 200
    assert (await admin.delete(f"/v1/keys/{other['id']}")).status_code == 204
    assert (await acme.get("/v1/tasks")).status_code == 401  # at once, where it was revoked
    assert (await admin.delete(f"/v1/keys/{other['id']}")).status_code == 204
    assert (await admin.delete("/v1/keys/key_0190163d-8694-739b-aea5-966c26f8ad91")).status_code == 404
    assert (await admin.get("/v1/keys")).json()["data"][0]["revoked_at"]


async def test_an_open_loopback_is_closed_to_pages_that_the_settings_let_in(own_house):
    client, page = own_house.client(), "https://app.example.com"
    await client.put("/v1/settings/gateway.cors_origins", json={"value": [page]})
    await own_house.live_settings.load()
    assert (await client.get("/v1/tasks")).status_code == 200
    assert (await client.get("/v1/tasks", headers={"origin": page})).status_code == 401
