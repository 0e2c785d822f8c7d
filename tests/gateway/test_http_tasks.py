"""Looking at tasks, waiting for them, and what a person does to them. One tenant never sees another's."""

import asyncio

import pytest

from dayshift.domain.task import TaskError

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILED = TaskError(code="fatal", message="no", retryable=False)


async def submitted(http, echo, **more):
    return (await http.post("/v1/tasks", json={**echo, **more})).json()


async def test_lists_page_from_the_newest_to_the_oldest(http, echo):
    made = [(await submitted(http, echo))["id"] for _ in range(5)]
    seen, after = [], None
    while True:
        page = (await http.get("/v1/tasks", params={"limit": 2, **({"after": after} if after else {})})).json()
        assert page["object"] == "list"
        seen += [task["id"] for task in page["data"]]
        if not page["has_more"]:
            break
        after = seen[-1]
    assert seen == made[::-1]
    assert len((await http.get("/v1/tasks?limit=5")).json()["data"]) == 5
    assert (await http.get("/v1/tasks?limit=5")).json()["has_more"] is False


async def test_lists_are_filtered(http, house, echo):
    first = await submitted(http, echo, user="ann", conversation="c")
    second = await submitted(http, echo, user="bob")
    await house.finish(second["id"])
    for query, expected in [
        ("status=queued", [first]),
        ("status=succeeded", [second]),
        ("user=bob", [second]),
        ("conversation=c", [first]),
        ("agent=echo", [second, first]),
        ("agent=other", []),
        ("agent=echo&user=ann&status=queued", [first]),
    ]:
        found = (await http.get(f"/v1/tasks?{query}")).json()["data"]
        assert [task["id"] for task in found] == [task["id"] for task in expected], query


async def test_a_long_poll_is_woken_by_the_end(http, house, echo):
    task = await submitted(http, echo)
    waiting = asyncio.create_task(http.get(f"/v1/tasks/{task['id']}?wait=30"))
    await asyncio.sleep(0.1)
    await house.finish(task["id"], {"n": 1})
    async with asyncio.timeout(2):
        answer = await waiting
    assert (answer.status_code, answer.json()["status"], answer.json()["output"]) == (200, "succeeded", {"n": 1})
    assert (await http.get(f"/v1/tasks/{task['id']}?wait=30")).json()["status"] == "succeeded"


async def test_a_long_poll_that_is_over_answers_the_task_as_it_is(http, echo):
    task = await submitted(http, echo)
    answer = await http.get(f"/v1/tasks/{task['id']}?wait=0.1")
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")


async def test_cancel(http, echo):
    task = await submitted(http, echo)
    answer = await http.post(f"/v1/tasks/{task['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    again = await http.post(f"/v1/tasks/{task['id']}/cancel")
    assert (again.status_code, again.json()["status"]) == (202, "cancelled")


async def test_a_dead_letter_is_listed_and_retried(http, house, echo):
    task = await submitted(http, echo)
    assert (await http.post(f"/v1/tasks/{task['id']}/retry")).status_code == 409
    await house.finish(task["id"], kind="failed", error=FAILED)
    dead = (await http.get("/v1/dead")).json()
    assert [(one["id"], one["error"]["code"]) for one in dead["data"]] == [(task["id"], "fatal")]
    answer = await http.post(f"/v1/tasks/{task['id']}/retry")
    assert (answer.status_code, answer.json()["status"], answer.json()["failures"]) == (202, "queued", 0)
    assert (await http.get("/v1/dead")).json()["data"] == []


async def test_erase(http, house, echo):
    task = await submitted(http, echo)
    assert (await http.delete(f"/v1/tasks/{task['id']}")).status_code == 409
    await house.finish(task["id"])
    answer = await http.delete(f"/v1/tasks/{task['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await http.get(f"/v1/tasks/{task['id']}")).status_code == 404
    assert (await http.delete(f"/v1/tasks/{task['id']}")).status_code == 404


async def test_head_is_get_without_a_body(http, echo):
    task = await submitted(http, echo)
    answer = await http.head(f"/v1/tasks/{task['id']}")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_one_tenant_never_sees_anothers(house, echo):
    acme, zeta = [house.client(await house.make_key(tenant, "submit")) for tenant in ("acme", "zeta")]
    key = {"idempotency-key": "shared"}
    task = (await acme.post("/v1/tasks", json=echo, headers=key)).json()
    other = (await zeta.post("/v1/tasks", json=echo, headers=key)).json()
    assert (task["tenant"], other["tenant"]) == ("acme", "zeta")
    assert task["id"] != other["id"]
    path = f"/v1/tasks/{task['id']}"
    for method, where in [
        ("GET", path),
        ("GET", f"{path}?wait=1"),
        ("GET", f"{path}/events"),
        ("POST", f"{path}/cancel"),
        ("POST", f"{path}/retry"),
        ("DELETE", path),
    ]:
        assert (await zeta.request(method, where)).status_code == 404, where
    assert [one["id"] for one in (await zeta.get("/v1/tasks")).json()["data"]] == [other["id"]]
    assert (await zeta.get(f"/v1/tasks?after={task['id']}")).json()["data"] == []
    await house.finish(task["id"], kind="failed", error=FAILED)
    assert (await zeta.get("/v1/dead")).json()["data"] == []
    assert (await acme.get(path)).json()["status"] == "failed"
    assert (await house.client().get(path)).status_code == 401
