"""Signals over HTTP."""

from urllib.parse import quote

import pytest

from dayshift import Context
from dayshift.domain import ids
from dayshift.domain.errors import WrongUse

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_signal_is_taken_once(http, echo):
    task = (await http.post("/v1/tasks", json=echo)).json()
    path = f"/v1/tasks/{task['id']}/signals/approval"
    first = await http.post(path, json={"payload": {"by": "ada"}})
    assert (first.status_code, first.json()) == (202, {"task_id": task["id"], "signal": "approval"})
    assert "idempotent-replayed" not in first.headers
    second = await http.post(path)
    assert (second.status_code, second.headers["idempotent-replayed"]) == (202, "true")


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "50%",
        "%2F",
        "a?b=c&d",
        "a#b",
        "a+b",
        "a;b",
        "a:b",
        "a\\b",
        "...",
        "~",
        "größe",
        "日本",
        "😀" * 200,
        "n" * 200,
    ],
)
async def test_whatever_name_an_agent_may_wait_for_can_be_sent(http, echo, name):
    with pytest.raises(WrongUse, match="called by hand"):  # no fault is found with its name
        await Context.local().wait_for(name)
    task = (await http.post("/v1/tasks", json=echo)).json()
    sent = await http.post(f"/v1/tasks/{task['id']}/signals/{quote(name, safe='')}")
    assert (sent.status_code, sent.json()) == (202, {"task_id": task["id"], "signal": name})


@pytest.mark.parametrize("name", ["a/b", "/", ".", ".."])
async def test_a_name_that_no_path_carries_is_refused_where_it_is_waited_for(http, echo, name):
    with pytest.raises(WrongUse, match="nobody could send it"):
        await Context.local().wait_for(name)
    task = (await http.post("/v1/tasks", json=echo)).json()
    assert (await http.post(f"/v1/tasks/{task['id']}/signals/{quote(name, safe='')}")).status_code in (404, 405)


async def test_what_cannot_be_said_is_refused(http, house, echo):
    task = (await http.post("/v1/tasks", json=echo)).json()
    path = f"/v1/tasks/{task['id']}/signals/approval"
    assert (await http.post(path, json={"payload": 1, "when": "now"})).status_code == 422
    assert (await http.post(path, content=b"{")).status_code == 400
    assert (await http.post(path, json={"wait_id": ids.new(ids.EFFECT)})).status_code == 404
    assert (await http.post(f"/v1/tasks/{task['id']}/signals/{'n' * 201}")).status_code == 422
    assert (await http.post(f"/v1/tasks/{ids.new(ids.TASK)}/signals/approval")).status_code == 404
    await http.post(f"/v1/tasks/{task['id']}/cancel")
    ended = await http.post(path)
    assert (ended.status_code, ended.json()["code"]) == (409, "task_finished")
    async with house.client(await house.make_key("somebody-else", "submit")) as other:
        assert (await other.post(path)).status_code == 404
