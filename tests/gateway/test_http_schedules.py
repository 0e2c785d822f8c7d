"""Schedules over HTTP: how they are asked for and shown, and whose they are."""

from datetime import datetime, timedelta

import httpx2
import pytest
from tests.gateway.conftest import House

from dayshift.domain.clock import now

pytestmark = pytest.mark.asyncio(loop_scope="module")
WHERE = "/v1/schedules"
TASK = {"agent": "echo", "input": {"text": "hello"}}


async def made(http: httpx2.AsyncClient, name: str = "mine", **said: object) -> dict:
    answer = await http.post(WHERE, json={"name": name, "task": TASK, "every": 3_600, **said})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{WHERE}/{answer.json()['id']}"
    return answer.json()


async def test_one_is_made_and_shown(http: httpx2.AsyncClient):
    schedule = await made(http, every=None, cron="30 7 * * MON-FRI", time_zone="Europe/Berlin", catch_up="skip")
    assert schedule == {
        "id": schedule["id"],
        "name": "mine",
        "status": "active",
        "cron": "30 7 * * MON-FRI",
        "time_zone": "Europe/Berlin",
        "every": None,
        "start_at": None,
        "at": None,
        "catch_up": "skip",
        "task": {
            **TASK,
            "conversation": None,
            "user": None,
            "priority": 5,
            "timeout": None,
            "webhook": None,
            "metadata": {},
        },
        "next_at": schedule["next_at"],
        "last_due_at": None,
        "last_task": None,
        "last_error": None,
        "skipped": None,
        "created_at": schedule["created_at"],
        "updated_at": schedule["created_at"],
    }
    assert datetime.fromisoformat(schedule["next_at"]) > now()
    assert (await http.get(f"{WHERE}/{schedule['id']}")).json() == schedule


async def test_they_are_listed_newest_first(http: httpx2.AsyncClient):
    names = [(await made(http, name))["name"] for name in ("a", "b", "c")]
    first = (await http.get(WHERE, params={"limit": 2})).json()
    assert ([one["name"] for one in first["data"]], first["has_more"]) == (names[:0:-1], True)
    rest = (await http.get(WHERE, params={"after": first["data"][-1]["id"]})).json()
    assert ([one["name"] for one in rest["data"]], rest["has_more"]) == (["a"], False)
    assert (await http.get(WHERE, params={"after": "a"})).status_code == 422


async def test_what_is_given_is_changed(http: httpx2.AsyncClient):
    schedule = await made(http)
    where = f"{WHERE}/{schedule['id']}"
    changed = (await http.patch(where, json={"name": "other", "task": {**TASK, "priority": 9}})).json()
    assert (changed["name"], changed["task"]["priority"], changed["next_at"]) == ("other", 9, schedule["next_at"])
    at = (now() + timedelta(days=1)).isoformat()
    once = (await http.patch(where, json={"at": at})).json()
    assert (once["every"], once["start_at"]) == (None, None)
    assert datetime.fromisoformat(once["next_at"]) == datetime.fromisoformat(at)
    assert (await http.patch(where, json={"every": 5, "cron": "* * * * *"})).status_code == 422
    assert (await http.patch(where, json={"paused": True})).json()["errors"][0]["path"] == "paused"


async def test_pause_resume_and_delete(http: httpx2.AsyncClient):
    schedule = await made(http)
    where = f"{WHERE}/{schedule['id']}"
    paused = (await http.post(f"{where}/pause")).json()
    assert (paused["status"], paused["next_at"]) == ("paused", None)
    assert (await http.post(f"{where}/resume")).json()["status"] == "active"
    assert (await http.delete(where)).status_code == 204
    for answer in (
        await http.get(where),
        await http.delete(where),
        await http.post(f"{where}/pause"),
        await http.get(f"{WHERE}/nothing"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_triggering_answers_the_task(http: httpx2.AsyncClient):
    schedule = await made(http)
    where = f"{WHERE}/{schedule['id']}/trigger"
    first, repeat = [await http.post(where, headers={"idempotency-key": '"1"'}) for _ in range(2)]
    assert (first.status_code, first.json()["agent"]) == (202, "echo")
    assert first.json()["metadata"] == {"schedule": schedule["id"]}
    assert first.headers["location"] == f"/v1/tasks/{first.json()['id']}"
    assert repeat.json()["id"] == first.json()["id"]
    assert repeat.headers["idempotent-replayed"] == "true"
    assert (await http.post(where)).json()["id"] != first.json()["id"]


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"every": 0}, "every"),
        ({"every": None}, "cron"),
        ({"every": 5, "catch_up": "some"}, "catch_up"),
        ({"every": 5, "name": ""}, "name"),
        ({"every": 5, "task": {"agent": "echo", "input": {}}}, "task.input"),
        ({"every": 5, "task": {"agent": "nobody"}}, "task.agent"),
        ({"every": 5, "task": {**TASK, "run_at": "2030-01-01T00:00:00Z"}}, "task.run_at"),
        ({"every": 5, "task": {**TASK, "webhook": {"url": "http://127.0.0.1/"}}}, "task.webhook.url"),
        ({"every": 5, "start_at": "2030-01-01T00:00:00"}, "start_at"),
        ({"cron": "0 0 * *", "every": None}, "cron"),
    ],
)
async def test_what_is_wrong_is_told_with_its_path(http: httpx2.AsyncClient, said: dict, path: str):
    answer = await http.post(WHERE, json={"name": "wrong", "task": TASK, **said})
    assert answer.status_code == 422
    assert [fault["path"] for fault in answer.json()["errors"]] == [path]


async def test_a_name_is_taken_once(http: httpx2.AsyncClient):
    schedule = await made(http)
    answer = await http.post(WHERE, json={"name": "mine", "task": TASK, "every": 5})
    assert (answer.status_code, answer.json()["code"]) == (409, "schedule_exists")
    assert schedule["id"] in answer.json()["detail"]


async def test_those_of_another_tenant_do_not_exist(house: House, http: httpx2.AsyncClient):
    schedule = await made(http)
    stranger = house.client(await house.make_key("stranger-to-schedules", "submit"))
    where = f"{WHERE}/{schedule['id']}"
    assert (await stranger.get(WHERE)).json()["data"] == []
    for answer in (
        await stranger.get(where),
        await stranger.patch(where, json={"name": "taken"}),
        await stranger.delete(where),
        *[await stranger.post(f"{where}/{act}") for act in ("pause", "resume", "trigger")],
    ):
        assert answer.status_code == 404
    await made(stranger)  # the same name is another one there
    assert (await http.get(where)).json() == schedule


async def test_looking_needs_less_than_acting(house: House, http: httpx2.AsyncClient):
    reader = house.client(await house.make_key("reader-of-schedules", "read"))
    assert (await reader.get(WHERE)).status_code == 200
    answer = await reader.post(WHERE, json={"name": "mine", "task": TASK, "every": 5})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
