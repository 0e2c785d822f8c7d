"""Conversations over HTTP: listed, read in pages, made with a history, erased; each tenant's own."""

import pytest

from dayshift.domain import clock, ids
from dayshift.domain.effect import Effect, EffectKind, EffectStatus
from dayshift.domain.task import Started
from dayshift.journal import pack
from dayshift.ledger import EffectWrite
from dayshift.tasks import Outcome

pytestmark = pytest.mark.asyncio(loop_scope="module")


def fresh() -> str:
    return ids.new("talk/")  # a name may hold anything


async def append(house, started: Started, *texts: bytes) -> None:
    effects = [
        Effect(
            id=ids.new(ids.EFFECT), task_id=started.id, key=bytes([number]) * 16, occurrence=0, attempt=started.attempt,
            kind=EffectKind.APPEND, name="append", status=EffectStatus.DONE, started_at=clock.now(),
            finished_at=clock.now(), result=pack(text),
        )
        for number, text in enumerate(texts)
    ]  # fmt: skip
    await house.ledger.effects.record([EffectWrite(effect, house.worker_id) for effect in effects])


async def test_a_history_is_read_in_pages_from_either_end(http, house, echo):
    name = fresh()
    task_id = (await http.post("/v1/tasks", json=echo | {"conversation": name})).json()["id"]
    started = await house.start(task_id)
    await append(house, started, b'{"role":"user","content":"hi"}', b'"two"', b"3")
    path = f"/v1/conversations/{name}"
    page = (await http.get(path)).json()
    assert [one["message"] for one in page["data"]] == [3, "two", {"role": "user", "content": "hi"}]
    assert [one["task"] for one in page["data"]] == [task_id] * 3
    assert (page["object"], page["id"], page["has_more"], page["unfinished"], page["holder"]) == (
        "list", name, False, 1, task_id,
    )  # fmt: skip
    first = (await http.get(path, params={"order": "asc", "limit": 2})).json()
    assert ([one["message"] for one in first["data"]][1], first["has_more"]) == ("two", True)
    rest = (await http.get(path, params={"order": "asc", "limit": 2, "after": first["data"][1]["id"]})).json()
    assert ([one["message"] for one in rest["data"]], rest["has_more"]) == ([3], False)
    rest = (await http.get(path, params={"limit": 2, "after": page["data"][1]["id"]})).json()
    assert [one["id"] for one in rest["data"]] == [page["data"][2]["id"]]
    await house.services.finishing.finish(started, house.worker_id, Outcome(kind="succeeded", output=b"1"))
    assert (await http.get(path)).json()["unfinished"] == 0


async def test_conversations_are_listed_newest_first(http, echo):
    names = [fresh() for _ in range(3)]
    for name in names:
        await http.post("/v1/tasks", json=echo | {"conversation": name})
    page = (await http.get("/v1/conversations?limit=2")).json()
    assert ([one["id"] for one in page["data"]], page["has_more"], page["object"]) == (names[:0:-1], True, "list")
    page = (await http.get("/v1/conversations", params={"limit": 1, "after": names[1]})).json()
    assert [one["id"] for one in page["data"]] == names[:1]


async def test_one_is_made_with_the_history_that_it_has(http):
    name = fresh()
    messages = [{"role": "user", "content": "hi"}, "and a text"]
    made = await http.post("/v1/conversations", json={"id": name, "messages": messages})
    assert (made.status_code, made.json()["id"], made.json()["unfinished"]) == (201, name, 0)
    page = (await http.get(made.headers["location"], params={"order": "asc"})).json()
    assert [(one["message"], one["task"]) for one in page["data"]] == [(message, None) for message in messages]
    again = await http.post("/v1/conversations", json={"id": name})
    assert (again.status_code, again.json()["code"]) == (409, "conversation_exists")
    unnamed = (await http.post("/v1/conversations", json={})).json()["id"]
    assert (await http.get(f"/v1/conversations/{unnamed}")).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "path"),
    [({"id": ""}, "id"), ({"id": "x\x00"}, "id"), ({"messages": 5}, "messages"), ({"name": "c"}, "name")],
)
async def test_what_cannot_be_one_is_refused(http, body, path):
    answer = await http.post("/v1/conversations", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, path)


async def test_erasing_waits_for_no_task_and_leaves_the_tasks(http, house, echo):
    name = fresh()
    task_id = (await http.post("/v1/tasks", json=echo | {"conversation": name})).json()["id"]
    started = await house.start(task_id)
    await append(house, started, b"1")
    busy = await http.delete(f"/v1/conversations/{name}")
    assert (busy.status_code, busy.json()["code"]) == (409, "conversation_busy")
    await house.services.finishing.finish(started, house.worker_id, Outcome(kind="succeeded", output=b"1"))
    assert (await http.delete(f"/v1/conversations/{name}")).status_code == 204
    assert (await http.get(f"/v1/conversations/{name}")).status_code == 404
    assert (await http.delete(f"/v1/conversations/{name}")).status_code == 404
    assert (await http.get(f"/v1/tasks/{task_id}")).json()["status"] == "succeeded"


async def test_another_tenants_conversations_are_not_there(http, house, echo):
    name = fresh()
    await http.post("/v1/conversations", json={"id": name, "messages": [1]})
    message = (await http.get(f"/v1/conversations/{name}")).json()["data"][0]["id"]
    key = await house.make_key("somebody-else", "submit", "read")
    async with house.client(key) as other:
        path = f"/v1/conversations/{name}"
        assert (await other.get("/v1/conversations")).json()["data"] == []
        assert [(await other.get(path)).status_code, (await other.delete(path)).status_code] == [404, 404]
        assert (await other.post("/v1/conversations", json={"id": name})).status_code == 201
        assert (await other.get(path, params={"after": message})).status_code == 422
        assert (await other.get(path)).json()["data"] == []
    assert len((await http.get(f"/v1/conversations/{name}")).json()["data"]) == 1


async def test_pages_begin_only_behind_what_is_there(http):
    name = fresh()
    await http.post("/v1/conversations", json={"id": name})
    for path in (f"/v1/conversations/{name}?after={ids.new(ids.MESSAGE)}", "/v1/conversations?after=nobody"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_query")
