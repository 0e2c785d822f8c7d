"""The official client, `a2a-sdk`, on both bindings, and the example of the how-to."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from a2a.client import Client, ClientConfig, create_client
from a2a.helpers import get_artifact_text, get_data_parts, new_data_part, new_message, new_text_message
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import TaskNotCancelableError, TaskNotFoundError, UnsupportedOperationError

from tests.a2a.conftest import CLIENT, PAGE, Open

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def refunds(gateway: Open, binding: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {await gateway.key()}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        config = ClientConfig(httpx_client=http, supported_protocol_bindings=[binding])
        yield await create_client(f"{gateway.url}/a2a/refunds", config)


def say(text: str, **more: str) -> pb.SendMessageRequest:
    return pb.SendMessageRequest(message=new_text_message(text, role=pb.ROLE_USER, **more))


def ask_for_much() -> pb.SendMessageRequest:
    parts = [pb.Part(text="Me?"), new_data_part({"amount_usd": 250})]
    return pb.SendMessageRequest(message=new_message(parts, role=pb.ROLE_USER))


async def test_it_streams_what_happens(refunds):
    said = [one async for one in refunds.send_message(say("Me?"))]
    task = said[0].task
    assert task.history[0].parts[0].text == "Me?"
    assert task.context_id.startswith("conv_")
    statuses = [one.status_update.status for one in said if one.HasField("status_update")]
    assert [pb.TaskState.Name(one.state) for one in statuses] == [
        "TASK_STATE_WORKING",
        "TASK_STATE_WORKING",
        "TASK_STATE_COMPLETED",
    ]
    assert get_data_parts(statuses[1].message.parts) == [{"name": "looking", "amount_usd": 0}]
    (artifact,) = [one.artifact_update for one in said if one.HasField("artifact_update")]
    assert (get_artifact_text(artifact.artifact), artifact.last_chunk) == ("Me? Yes.", True)
    assert said[-1].HasField("status_update")
    kept = await refunds.get_task(pb.GetTaskRequest(id=task.id))
    assert get_artifact_text(kept.artifacts[0]) == "Me? Yes."
    with pytest.raises(UnsupportedOperationError):
        [one async for one in refunds.subscribe(pb.SubscribeToTaskRequest(id=task.id))]
    with pytest.raises(TaskNotCancelableError):
        await refunds.cancel_task(pb.CancelTaskRequest(id=task.id))
    with pytest.raises(UnsupportedOperationError):
        [one async for one in refunds.send_message(say("And?", task_id=task.id))]


async def test_a_task_that_asks_is_answered_by_a_message_and_followed_by_whoever_subscribed(refunds):
    said = [one async for one in refunds.send_message(ask_for_much())]
    task = said[0].task
    assert said[-1].status_update.status.state == pb.TASK_STATE_INPUT_REQUIRED
    following = refunds.subscribe(pb.SubscribeToTaskRequest(id=task.id))
    assert (await anext(following)).task.status.state == pb.TASK_STATE_INPUT_REQUIRED
    rest = asyncio.create_task(_all(following))
    answered = [one async for one in refunds.send_message(say("Yes, said Ann.", task_id=task.id))]
    assert get_artifact_text(answered[-2].artifact_update.artifact) == "Me? Yes, said Ann."
    assert answered[-1].status_update.status.state == pb.TASK_STATE_COMPLETED
    assert [one.WhichOneof("payload") for one in await rest][-2:] == ["artifact_update", "status_update"]
    kept = await refunds.get_task(pb.GetTaskRequest(id=task.id))
    assert [one.parts[0].text for one in kept.history] == ["Me?", "Yes, said Ann."]
    short = await refunds.get_task(pb.GetTaskRequest(id=task.id, history_length=1))
    assert [one.parts[0].text for one in short.history] == ["Yes, said Ann."]


async def test_tasks_are_listed_and_cancelled(refunds):
    said = [one async for one in refunds.send_message(ask_for_much())]
    task = said[0].task
    listed = await refunds.list_tasks(pb.ListTasksRequest(context_id=task.context_id))
    assert ([one.id for one in listed.tasks], listed.total_size, listed.next_page_token) == ([task.id], 1, "")
    assert (await refunds.cancel_task(pb.CancelTaskRequest(id=task.id))).status.state == pb.TASK_STATE_CANCELED
    with pytest.raises(TaskNotFoundError):
        await refunds.get_task(pb.GetTaskRequest(id="task_01a20987-61d4-7288-bc94-7437806ce970"))


async def test_push_configs_are_managed(refunds):
    said = [one async for one in refunds.send_message(say("Me?"))]
    config = pb.TaskPushNotificationConfig(task_id=said[0].task.id, url="https://receiver.example/", token="t")
    config.authentication.scheme, config.authentication.credentials = "Bearer", "secret"
    made = await refunds.create_task_push_notification_config(config)
    assert (made.id != "", made.token, made.authentication.credentials) == (True, "t", "")
    one = pb.GetTaskPushNotificationConfigRequest(task_id=made.task_id, id=made.id)
    assert await refunds.get_task_push_notification_config(one) == made
    all_of_task = pb.ListTaskPushNotificationConfigsRequest(task_id=made.task_id)
    assert list((await refunds.list_task_push_notification_configs(all_of_task)).configs) == [made]
    gone = pb.DeleteTaskPushNotificationConfigRequest(task_id=made.task_id, id=made.id)
    await refunds.delete_task_push_notification_config(gone)
    await refunds.delete_task_push_notification_config(gone)
    with pytest.raises(TaskNotFoundError):
        await refunds.get_task_push_notification_config(one)


async def test_the_extended_card_has_the_schemas(refunds):
    card = await refunds.get_extended_agent_card(pb.GetExtendedAgentCardRequest())
    assert card.description == "Answers questions about refunds, and asks somebody before it promises much."
    assert "amount_usd" in card.capabilities.extensions[0].params["input"]["properties"]


async def test_the_example_of_the_how_to_runs(gateway, monkeypatch, capsys):
    monkeypatch.setenv("DAYSHIFT_URL", gateway.url)
    monkeypatch.setenv("DAYSHIFT_API_KEY", await gateway.key())
    example: dict = {}
    exec(compile(CLIENT.replace("asyncio.run(main())", ""), "the how-to", "exec"), example)
    await example["main"]()
    assert f"```text\n{capsys.readouterr().out}```" in PAGE


async def _all(said: AsyncIterator[pb.StreamResponse]) -> list[pb.StreamResponse]:
    return [one async for one in said]
