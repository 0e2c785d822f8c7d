"""The door for OpenAI's clients, with the official client, strict about every shape; a hand does the worker's work."""

import asyncio
import uuid

import httpx2
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from dayshift.domain import ids
from dayshift.domain.task import TaskError, Usage
from dayshift.gateway.responses import names
from dayshift.ledger import AgentRow
from dayshift.settings import SettingsStore
from dayshift.tasks import events

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = AgentRow(
    name="chat",
    version="1",
    queue="default",
    input_schema=b'{"type": "object", "properties": {"question": {"type": "string"}, "temperature": {"type": "number"}},'
    b' "required": ["question"]}',
    output_schema=b"{}",
)


@pytest_asyncio.fixture(loop_scope="module")
async def client(house):
    """The official client, of a tenant of the test's own."""
    await house.register(CHAT)
    key = await house.make_key(f"tenant-{uuid.uuid4().hex[:8]}", "admin")
    async with AsyncOpenAI(
        base_url=f"{house.url}/v1",
        api_key=key,
        _strict_response_validation=True,
        http_client=openai.DefaultAsyncHttpx2Client(),
    ) as made:
        yield made


async def asked(client, **more):
    return await client.responses.create(model="chat", input="Why?", background=True, **more)


async def said(house, response_id, *texts, call="c1", attempt=1):
    task_id = names.task_id_of(response_id)
    await house.plane.append([events.build(task_id, attempt, "llm.delta", call=call, text=text) for text in texts])


async def finish(house, response_id, output="Because.", **more):
    await house.finish(names.task_id_of(response_id), output, **more)


async def read(stream):
    return [event async for event in stream]


async def test_a_response_is_a_task(client, house, http):
    made = await asked(client, metadata={"of": "tests"}, instructions="Be brief", temperature=0.5, user="ada")
    assert (made.status, made.model, made.background, made.output, made.usage) == ("queued", "chat", True, [], None)
    assert (made.metadata, made.instructions, made.temperature, made.user) == ({"of": "tests"}, "Be brief", 0.5, "ada")
    headers = {"authorization": f"Bearer {client.api_key}"}
    task = (await http.get(f"/v1/tasks/{names.task_id_of(made.id)}", headers=headers)).json()
    assert (task["agent"], task["input"], task["user"]) == ("chat", {"question": "Why?", "temperature": 0.5}, "ada")

    await finish(house, made.id, usage=Usage(input_tokens=7, output_tokens=2, cached_tokens=3))
    done = await client.responses.retrieve(made.id)
    assert (done.status, done.output_text, done.error) == ("completed", "Because.", None)
    assert (done.usage.input_tokens, done.usage.output_tokens, done.usage.total_tokens) == (7, 2, 9)
    assert done.usage.input_tokens_details.cached_tokens == 3
    items = await client.responses.input_items.list(made.id)
    assert [(item.role, item.content[0].text) for item in items.data] == [("user", "Why?")]

    await client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError) as gone:
        await client.responses.retrieve(made.id)
    assert (gone.value.code, gone.value.type) == ("not_found", "invalid_request_error")
    assert gone.value.request_id.startswith("req_")


async def test_a_call_that_is_neither_background_nor_stream_waits_for_the_end(client, house):
    calling = asyncio.create_task(client.responses.create(model="chat", input="Why?", user="waits"))
    headers = {"authorization": f"Bearer {client.api_key}"}
    async with httpx2.AsyncClient(base_url=house.url, headers=headers) as http:
        while not (found := (await http.get("/v1/tasks?user=waits")).json()["data"]):
            await asyncio.sleep(0.02)
    assert not calling.done()
    await house.finish(found[0]["id"], {"a": [1]})
    assert (await calling).output_text == '{"a":[1]}'


async def test_a_stream_tells_the_documented_events(client, house):
    stream = await asked(client, stream=True)
    created = await anext(stream)
    await said(house, created.response.id, "Beca", "use.")
    await finish(house, created.response.id)
    told = [created, *await read(stream)]
    assert [event.type.removeprefix("response.") for event in told] == [
        "created",
        "queued",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in told] == list(range(len(told)))
    assert told[7].text == "Because."
    done = await client.responses.retrieve(created.response.id)
    assert told[-1].response.to_dict() == done.to_dict()
    for after in (-1, 0, 4, 6, 10):
        again = await client.responses.retrieve(
            created.response.id, stream=True, starting_after=after if after >= 0 else openai.omit
        )
        assert [event.to_dict() for event in await read(again)] == [event.to_dict() for event in told[after + 1 :]]


async def test_the_clients_own_stream_helper_reads_it(client, house):
    made = await asked(client)
    await said(house, made.id, "Let me see", call="look")
    await said(house, made.id, "Beca", call="answer")
    await finish(house, made.id)
    async with client.responses.stream(response_id=made.id) as stream:
        texts = [event.text async for event in stream if event.type == "response.output_text.done"]
        final = await stream.get_final_response()
    assert texts == ["Let me see", "Because."]
    assert final.output_text == "Because."


async def test_what_failed_and_what_was_cancelled_says_so(client, house):
    failed = await asked(client)
    await said(house, failed.id, "I wi")
    await finish(house, failed.id, kind="failed", error=TaskError(code="agent_error", message="no"))
    told = await read(await client.responses.retrieve(failed.id, stream=True))
    assert [told[-2].item.status, told[-1].type] == ["incomplete", "response.failed"]
    assert (told[-1].response.error.code, told[-1].response.error.message) == ("server_error", "agent_error: no")

    cancelled = await asked(client)
    assert (await client.responses.cancel(cancelled.id)).status == "cancelled"
    assert (await client.responses.cancel(cancelled.id)).status == "cancelled"
    told = await read(await client.responses.retrieve(cancelled.id, stream=True))
    assert (told[-1].type, told[-1].response.status) == ("response.incomplete", "cancelled")


async def test_true_conflicts_are_not_tried_again(client):
    made = await asked(client)
    with pytest.raises(openai.ConflictError) as unfinished:
        await client.responses.delete(made.id)
    assert (unfinished.value.code, unfinished.value.response.headers["x-should-retry"]) == ("not_finished", "false")


async def test_a_key_makes_one_response(client):
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first, second = [await asked(client, extra_headers=headers) for _ in range(2)]
    assert first.id == second.id
    with pytest.raises(openai.UnprocessableEntityError, match="said something else"):
        await asked(client, extra_headers=headers, instructions="other")


async def test_what_is_not_to_be_stored_is_gone_once_delivered(client, house):
    with pytest.raises(openai.BadRequestError, match="needs store"):
        await asked(client, store=False)
    stream = await client.responses.create(model="chat", input="Why?", store=False, stream=True)
    created = await anext(stream)
    assert not created.response.store
    await finish(house, created.response.id)
    assert (await read(stream))[-1].response.output_text == "Because."
    async with asyncio.timeout(10):
        while await house.ledger.tasks.get_many([names.task_id_of(created.response.id)]):
            await asyncio.sleep(0.02)


async def test_a_response_goes_on_with_the_one_before(client, house):
    first = await asked(client)
    with pytest.raises(openai.ConflictError, match="has not completed"):
        await asked(client, previous_response_id=first.id)
    await finish(house, first.id)
    second, third = [await asked(client, previous_response_id=first.id) for _ in range(2)]
    assert (second.previous_response_id, second.conversation) == (first.id, None)
    tasks = await house.ledger.tasks.get_many([names.task_id_of(one.id) for one in (second, third)])
    assert {task.conversation for task in tasks} == {first.id}
    headers = {"authorization": f"Bearer {client.api_key}"}
    async with httpx2.AsyncClient(base_url=house.url, headers=headers) as http:
        history = (await http.get(f"/v1/conversations/{first.id}?order=asc")).json()["data"]
    assert [one["message"] for one in history] == [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because."},
    ]
    for unknown in (names.response_id(ids.new(ids.TASK)), "resp_1"):
        with pytest.raises(openai.BadRequestError) as missing:
            await asked(client, previous_response_id=unknown)
        assert (missing.value.code, missing.value.param) == ("previous_response_not_found", "previous_response_id")
    named = await asked(client, conversation={"id": "customer-17"})
    assert named.conversation.id == "customer-17"


async def test_items_come_back_as_they_were_said(client):
    said = [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Uno"},
        {"role": "user", "content": [{"type": "input_text", "text": "Two"}]},
    ]
    made = await client.responses.create(model="chat", input=said, background=True)
    pages = [page async for page in await client.responses.input_items.list(made.id, limit=1, order="asc")]
    assert [(item.role, item.content[0].text) for item in pages] == [
        ("user", "One"),
        ("assistant", "Uno"),
        ("user", "Two"),
    ]
    latest = await client.responses.input_items.list(made.id, limit=2)
    assert [item.content[0].text for item in latest.data] == ["Two", "Uno"]
    assert latest.has_more


async def test_models_are_agents_or_stand_for_one(client, house):
    with pytest.raises(openai.BadRequestError) as unknown:
        await client.responses.create(model="gpt-none", input="Why?")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    settings = SettingsStore(house.ledger)
    await settings.put("gateway", {"default_agent": "chat", "aliases": {"gpt-5.1": "chat"}}, by="test")
    await house.live_settings.load()
    for model in ("gpt-5.1", "gpt-none", openai.omit):
        made = await client.responses.create(model=model, input="Why?", background=True)
        assert made.model == "chat"
    await settings.unset("gateway", by="test")
    await house.live_settings.load()


async def test_strangers_and_bad_requests_are_told_in_the_clients_words(client, house):
    made = await asked(client)
    for key, error in (
        ("dsk_unknown", openai.AuthenticationError),
        (await house.make_key("other", "admin"), openai.NotFoundError),
    ):
        async with AsyncOpenAI(base_url=client.base_url, api_key=key, max_retries=0) as stranger:
            with pytest.raises(error) as refused:
                await stranger.responses.retrieve(made.id)
    assert refused.value.code == "not_found"
    async with AsyncOpenAI(base_url=client.base_url, api_key=await house.make_key("reader", "read")) as reader:
        with pytest.raises(openai.PermissionDeniedError) as denied:
            await asked(reader)
    assert (denied.value.type, denied.value.code) == ("permission_error", "scope_missing")
    for wrong in ({"temperature": "hot"}, {"input": 5}, {"metadata": {"a": {}}}, {"conversation": []}):
        with pytest.raises(openai.BadRequestError) as bad:
            await client.responses.create(model="chat", background=True, **{"input": "Why?", **wrong})
        assert next(iter(wrong)) in bad.value.param
    with pytest.raises(openai.BadRequestError, match="starting_after"):
        await client.responses.retrieve(made.id, stream=True, starting_after=-1)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve("resp_nothing")
