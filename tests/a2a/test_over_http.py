"""What the official client does not show: statuses, cards, other tenants, lists in pages, pushes, and waits."""

import asyncio
import uuid

import httpx2
import msgspec
import pytest

from dayshift.domain.settings import Settings
from dayshift.domain.task import Status
from dayshift.gateway.a2a import door
from tests.a2a.conftest import Open
from tests.worker.receiver import status

pytestmark = pytest.mark.asyncio(loop_scope="module")
JSON = {"content-type": "application/json"}


def said(*parts: dict, **more: object) -> dict:
    return {"message": {"messageId": uuid.uuid4().hex, "role": "ROLE_USER", "parts": list(parts), **more}}


async def send(http: httpx2.AsyncClient, agent: str, *parts: dict, config: dict | None = None, **more: object) -> dict:
    """By HTTP+JSON; the task or the message."""
    body = said(*parts, **more) | ({} if config is None else {"configuration": config})
    answer = await http.post(f"/a2a/{agent}/message:send", json=body)
    assert answer.status_code == 200, answer.text
    return next(iter(answer.json().values()))


async def call(http: httpx2.AsyncClient, agent: str, method: str, **params: object) -> dict:
    """By JSON-RPC; the whole envelope."""
    answer = await http.post(f"/a2a/{agent}/", json={"jsonrpc": "2.0", "id": "x", "method": method, "params": params})
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == "x"
    return answer.json()


async def state(http: httpx2.AsyncClient, task: dict, agent: str) -> str:
    found = (await http.get(f"/a2a/{agent}/tasks/{task['id']}")).json()
    return found["status"]["state"].removeprefix("TASK_STATE_")


async def test_a_card_is_public_and_can_be_kept(gateway):
    async with httpx2.AsyncClient(base_url=gateway.url) as anybody:
        card = await anybody.get("/a2a/sums/.well-known/agent-card.json")
        assert card.json()["description"] == "Adds."
        assert "numbers" not in card.text
        assert card.headers["cache-control"] == "public, max-age=300"
        assert {one["url"] for one in card.json()["supportedInterfaces"]} == {f"{gateway.url}/a2a/sums"}
        for known in (
            {"if-none-match": f'"x", W/{card.headers["etag"]}'},
            {"if-modified-since": card.headers["last-modified"]},
        ):
            again = await anybody.get("/a2a/sums/.well-known/agent-card.json", headers=known)
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", card.headers["etag"])
        changed = {"if-none-match": '"other"', "if-modified-since": card.headers["last-modified"]}
        assert (await anybody.get("/a2a/sums/.well-known/agent-card.json", headers=changed)).status_code == 200
        assert (await anybody.get("/a2a/nobody/.well-known/agent-card.json")).status_code == 404
        assert (await anybody.post("/a2a/sums", json={})).status_code == 401


async def test_the_default_card_is_that_of_the_agent_that_the_settings_name(gateway, monkeypatch):
    async with httpx2.AsyncClient(base_url=gateway.url) as anybody:
        several = await anybody.get("/.well-known/agent-card.json")
        assert (several.status_code, several.json()["code"]) == (404, "no_default_agent")
        settings = msgspec.convert({"gateway": {"default_agent": "sums"}}, Settings)
        monkeypatch.setattr(gateway.house, "settings", settings)
        assert (await anybody.get("/.well-known/agent-card.json")).json()["name"] == "sums"


async def test_errors_have_the_statuses_of_the_specification(http):
    ended = await send(http, "refunds", {"text": "Me?"})
    no_task = "task_01a20987-61d4-7288-bc94-7437806ce970"
    for path, sent, code, reason in (
        (f"/tasks/{no_task}:cancel", None, 404, "TASK_NOT_FOUND"),
        ("/tasks/nonsense:cancel", None, 404, "TASK_NOT_FOUND"),
        (f"/tasks/{ended['id']}:cancel", None, 409, "TASK_NOT_CANCELABLE"),
        (f"/tasks/{ended['id']}:subscribe", None, 400, "UNSUPPORTED_OPERATION"),
        ("/message:send", said({"text": "Me?"}, taskId=ended["id"]), 400, "UNSUPPORTED_OPERATION"),
        ("/message:send", said({"text": "Me?"}, taskId=ended["id"], contextId="other"), 400, "INVALID_PARAMS"),
        ("/message:send", said({"url": "https://x.example/y"}), 415, "CONTENT_TYPE_NOT_SUPPORTED"),
        ("/message:send", said({"text": "x", "mediaType": "image/png"}), 415, "CONTENT_TYPE_NOT_SUPPORTED"),
        ("/message:send", said({"data": {"amount_usd": "much"}}, taskId=""), 400, "INVALID_PARAMS"),
        ("/message:send", said({"text": "x"}, contextId="c" * 300), 400, "INVALID_PARAMS"),
        ("/message:stream", said({"text": "x"}, role="ROLE_AGENT"), 400, "INVALID_PARAMS"),
        ("/message:send", said(), 400, "INVALID_PARAMS"),
        ("/message:send", {"message": "nonsense"}, 400, "INVALID_PARAMS"),
        (f"/tasks/{ended['id']}/pushNotificationConfigs", {"url": "nonsense"}, 400, "INVALID_PARAMS"),
    ):
        answer = await http.post(f"/a2a/refunds{path}", json=sent, headers=JSON)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["details"][0]["reason"]) == (code, code, reason), path
    wrong = await http.post("/a2a/refunds/message:send", content=b"{}", headers={"content-type": "text/plain"})
    assert (wrong.status_code, wrong.headers["content-type"]) == (415, "application/json")
    called = await http.post(
        "/a2a/refunds/message:send", content=b"{}", headers={"content-type": "application/a2a+json"}
    )
    assert called.json()["error"]["details"][0]["reason"] == "INVALID_PARAMS"
    old = await http.get(f"/a2a/refunds/tasks/{ended['id']}", headers={"a2a-version": "0.3"})
    assert old.json()["error"]["details"][0]["reason"] == "VERSION_NOT_SUPPORTED"
    unknown = await http.post("/a2a/nobody/message:send", json=said({"text": "x"}))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_agent")


async def test_errors_of_json_rpc_have_its_codes(http):
    for body, code in (
        (b"nonsense", -32700),
        (b"[]", -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "GetTask"}', -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "GetTask"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "Nonsense"}', -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": []}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": 1}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "x"}}', -32001),
    ):
        answer = await http.post("/a2a/refunds", content=body, headers=JSON)
        assert (answer.status_code, answer.json()["error"]["code"]) == (200, code)
    old = await http.post(
        "/a2a/refunds", json={"jsonrpc": "2.0", "id": 1, "method": "GetTask"}, headers={"a2a-version": "99.0"}
    )
    assert old.json()["error"]["code"] == -32009


async def test_a_key_that_only_reads_says_nothing(gateway):
    async with gateway.client(await gateway.key(None, "read")) as reader:
        refused = await reader.post("/a2a/refunds/message:send", json=said({"text": "x"}))
        rpc = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": said({"text": "x"})}
        for answer in (refused, await reader.post("/a2a/refunds", json=rpc)):
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
        assert (await call(reader, "refunds", "ListTasks"))["result"]["tasks"] == []


async def test_a_task_is_there_for_its_tenant_and_its_agent_alone(gateway, http):
    task = await send(http, "patient", {"text": "x"}, config={"returnImmediately": True})
    async with gateway.client(await gateway.key()) as stranger:
        for who, agent in ((stranger, "patient"), (http, "sums")):
            where = f"/a2a/{agent}/tasks/{task['id']}"
            answers = [
                await who.get(where),
                await who.post(f"{where}:cancel", headers=JSON),
                await who.post(f"{where}:subscribe", headers=JSON),
                await who.get(f"{where}/pushNotificationConfigs"),
                await who.post(f"{where}/pushNotificationConfigs", json={"url": "https://x.example/"}),
                await who.delete(f"{where}/pushNotificationConfigs/x"),
                await who.post(f"/a2a/{agent}/message:send", json=said({"text": "x"}, taskId=task["id"])),
            ]
            assert {(one.status_code, one.json()["error"]["status"]) for one in answers} == {(404, "NOT_FOUND")}
            context = {"contextId": task["contextId"]}
            listed = (await who.get(f"/a2a/{agent}/tasks", params=context)).json()
            assert (listed["tasks"], listed["totalSize"]) == ([], 0)
    assert await state(http, task, "patient") in {"SUBMITTED", "WORKING"}
    shown = (await http.get(f"/v1/tasks/{task['id']}")).json()
    assert (shown["agent"], shown["conversation"], shown["input"]) == ("patient", task["contextId"], {"text": "x"})
    cancelled = await http.post(f"/a2a/patient/tasks/{task['id']}:cancel", headers=JSON)
    assert cancelled.json()["status"]["state"] == "TASK_STATE_CANCELED"


async def test_what_becomes_of_a_task_is_what_a_client_is_told(http):
    assert (await send(http, "sums", {"data": [1, 2]}))["artifacts"][0]["parts"][0]["data"] == {"sum": 3}
    assert (await send(http, "sums", {"data": {"numbers": [0]}}))["status"]["state"] == "TASK_STATE_COMPLETED"
    failed = await send(http, "sums", {"data": [404]})
    assert failed["status"]["state"] == "TASK_STATE_FAILED"
    assert failed["status"]["message"]["parts"][0]["text"] == "no such sum"
    assert failed["status"]["message"]["metadata"] == {"code": "fatal", "retryable": False}
    rejected = await send(http, "sums", {"data": []})
    assert rejected["status"]["state"] == "TASK_STATE_REJECTED"
    answer = await call(http, "clerk", "SendMessage", **said({"text": "x"}, messageId="m1", contextId="c1"))
    assert answer["result"]["message"]["parts"] == [{"text": "m1 in c1"}]
    files = await send(
        http, "clerk", {"raw": "aGk=", "filename": "a", "mediaType": "x/y"}, {"url": "u", "filename": "b"}
    )
    assert [(one["artifactId"], one["name"]) for one in files["artifacts"]] == [("output-1", "a"), ("output-2", "b")]
    for name, number in (("FAILED", 1), ("REJECTED", 1), ("COMPLETED", 2), ("WORKING", 0)):
        listed = (await call(http, "sums", "ListTasks", status=f"TASK_STATE_{name}"))["result"]
        assert [one["status"]["state"] for one in listed["tasks"]] == [f"TASK_STATE_{name}"] * number
        assert listed["totalSize"] == number


async def test_lists_come_in_pages_by_the_latest_change(http):
    waits = await send(http, "refunds", {"text": "first"}, {"data": {"amount_usd": 500}}, contextId="a")
    others = [await send(http, "refunds", {"text": str(n)}, contextId="b") for n in range(3)]
    await send(http, "refunds", {"text": "yes"}, taskId=waits["id"])
    ids, token, pages = [], "", 0
    while pages == 0 or token:
        page = (await http.get("/a2a/refunds/tasks", params={"pageSize": 2, "pageToken": token})).json()
        ids += [task["id"] for task in page["tasks"]]
        assert all("artifacts" not in task for task in page["tasks"])
        token, pages = page["nextPageToken"], pages + 1
        assert page["totalSize"] == 4
    assert (pages, ids) == (2, [waits["id"], *(task["id"] for task in reversed(others))])
    whole = (await http.get("/a2a/refunds/tasks", params={"includeArtifacts": "true", "contextId": "a"})).json()
    assert whole["tasks"][0]["artifacts"]
    since = whole["tasks"][0]["status"]["timestamp"]
    later = (await http.get("/a2a/refunds/tasks", params={"statusTimestampAfter": since})).json()
    assert [task["id"] for task in later["tasks"]] == [waits["id"]]
    for wrong in ({"pageToken": "nonsense"}, {"pageSize": 101}, {"pageSize": "x"}, {"pageToken": "WzEsIDJd"}):
        assert (await http.get("/a2a/refunds/tasks", params=wrong)).status_code == 400


async def test_a_repeat_under_one_key_makes_one_task(http):
    body, key = said({"text": "Me?"}), {"idempotency-key": uuid.uuid4().hex}
    first = await http.post("/a2a/refunds/message:send", json=body, headers=key)
    again = await http.post("/a2a/refunds/message:send", json=body, headers=key)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    other = await http.post("/a2a/refunds/message:send", json=said({"text": "Else"}), headers=key)
    assert other.status_code == 400


async def test_a_signal_may_be_named_before_the_task_waits_for_it(http):
    task = await send(
        http, "refunds", {"text": "Me?"}, {"data": {"amount_usd": 500}}, config={"returnImmediately": True}
    )
    metadata = {"signal": "approval"}
    ended = await send(http, "refunds", {"text": "Yes."}, taskId=task["id"], metadata=metadata)
    assert ended["artifacts"][0]["parts"][0]["text"] == "Me? Yes."
    waits = await send(http, "patient", {"text": "x"}, config={"returnImmediately": True})
    refused = await http.post("/a2a/patient/message:send", json=said({"text": "now"}, taskId=waits["id"]))
    assert refused.json()["error"]["details"][0]["reason"] == "UNSUPPORTED_OPERATION"


async def test_whoever_is_to_be_told_is_told_of_each_change_with_its_credentials(gateway, http, receiver):
    push = {"id": "mine", "url": f"{receiver.url}/a2a", "token": "t", "authentication": {"scheme": "Bearer"}}
    push["authentication"]["credentials"] = "secret"
    parts = {"text": "Me?"}, {"data": {"amount_usd": 500}}
    task = await send(http, "refunds", *parts, config={"taskPushNotificationConfig": push})
    await receiver.called(1)
    await send(http, "refunds", {"text": "Yes."}, taskId=task["id"])
    calls = await receiver.called(2)
    told = [one.json["task"] for one in calls]
    assert [one["status"]["state"] for one in told] == ["TASK_STATE_INPUT_REQUIRED", "TASK_STATE_COMPLETED"]
    assert {one["id"] for one in told} == {task["id"]}
    assert told[1]["artifacts"][0]["parts"] == [{"text": "Me? Yes.", "mediaType": "text/plain"}]
    assert {one.headers["authorization"] for one in calls} == {"Bearer secret"}
    assert {one.headers["x-a2a-notification-token"] for one in calls} == {"t"}
    found = await gateway.ledger.tasks.get(task["id"], None)
    assert found is not None
    secret = (await gateway.ledger.webhooks.default(found.tenant)).secret
    assert all(one.verified(secret) for one in calls)


async def test_a_push_is_tried_again_and_one_that_was_taken_back_is_not(gateway, http, receiver):
    receiver.answer = lambda _call: status(500)
    config = {"taskPushNotificationConfig": {"id": "mine", "url": receiver.url}}
    task = await send(http, "sums", {"data": [1]}, config=config)
    await receiver.called(1)
    where = f"/a2a/sums/tasks/{task['id']}/pushNotificationConfigs"
    assert (await http.delete(f"{where}/mine")).json() == {}
    found = await gateway.ledger.tasks.get(task["id"], None)
    assert found is not None
    async with asyncio.timeout(10):
        while not (
            tries := await gateway.ledger.tasks.list(found.tenant, agent="dayshift.webhook", status=Status.QUEUED)
        ):
            await asyncio.sleep(0.02)
    assert tries[0].failures == 1
    for n in range(10):
        assert (await http.post(where, json={"id": str(n), "url": receiver.url})).status_code == 200
    assert (await http.post(where, json={"id": "eleventh", "url": receiver.url})).status_code == 400
    assert (await http.post(where, json={"id": "9", "url": f"{receiver.url}/moved"})).status_code == 200


async def test_a_gateway_without_the_extra_says_so(gateway: Open, http, monkeypatch):
    def missing(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'a2a'", name="a2a")

    fresh = door.A2aDoor(gateway.house.services, lambda: gateway.house.settings)
    monkeypatch.setattr(door, "import_module", missing)
    with pytest.raises(door.HttpError, match=r"install dayshift\[a2a\]") as raised:
        await fresh.default_card(None)  # type: ignore[arg-type]  # it is not looked at
    assert raised.value.status == 501
