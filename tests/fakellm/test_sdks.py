"""The official clients, unchanged, against the process."""

from typing import Any

import anthropic
import openai
import pytest

from tests.fakellm.process import FakeProvider

TOOL_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER_RULE = {"contains": "weather", "tool_calls": [{"name": "get_weather", "arguments": {"city": "Paris"}}]}


def openai_client(fake: FakeProvider) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{fake.url}/v1", api_key="none", max_retries=0)


def anthropic_client(fake: FakeProvider) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=fake.url, api_key="none", max_retries=0)


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


async def test_chat(fake):
    fake.script({"answer": "A right to run."})
    async with openai_client(fake) as client:
        answer = await client.chat.completions.create(model="gpt-5", messages=user("What is a lease?"))
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "gpt-5"
    assert answer.choices[0].message.content == "A right to run."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 4)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 0


async def test_chat_streamed(fake):
    fake.script({"answer": "A right to run."})
    async with openai_client(fake) as client:
        stream = await client.chat.completions.create(
            model="gpt-5", messages=user("What is a lease?"), stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "A right to run."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 4


async def test_chat_asks_for_a_tool_then_answers(fake):
    fake.script({**WEATHER_RULE, "times": 1}, {"contains": "weather", "answer": "Sunny."})
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": TOOL_PARAMETERS}}]
    async with openai_client(fake) as client:
        first = await client.chat.completions.create(model="m", messages=user("weather?"), tools=tools)
        call: Any = first.choices[0].message.tool_calls[0]
        history: Any = [
            *user("weather?"),
            first.choices[0].message,
            {"role": "tool", "tool_call_id": call.id, "content": "sun"},
        ]
        second = await client.chat.completions.create(model="m", messages=history, tools=tools)
    assert first.choices[0].finish_reason == "tool_calls"
    assert first.choices[0].message.content is None
    assert call.id.startswith("call_")
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Paris"}')
    assert second.choices[0].message.content == "Sunny."


async def test_chat_streams_a_tool_call(fake):
    fake.script(WEATHER_RULE)
    async with (
        openai_client(fake) as client,
        client.chat.completions.stream(model="m", messages=user("weather?")) as stream,
    ):
        final = await stream.get_final_completion()
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"city":"Paris"}'


async def test_responses(fake):
    fake.script({"answer": "A right to run."})
    async with openai_client(fake) as client:
        answer = await client.responses.create(model="gpt-5", input="What is a lease?", instructions="Be short.")
    assert answer.id.startswith("resp_")
    assert answer.status == "completed"
    assert answer.output_text == "A right to run."
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 4)


async def test_responses_streamed(fake):
    fake.script({"answer": "A right to run."})
    async with openai_client(fake) as client:
        stream = await client.responses.create(model="gpt-5", input="What is a lease?", stream=True)
        events = [event async for event in stream]
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 4,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.output_text == "A right to run."


async def test_responses_stream_a_tool_call(fake):
    fake.script(WEATHER_RULE)
    tools: Any = [{"type": "function", "name": "get_weather", "parameters": TOOL_PARAMETERS, "strict": True}]
    async with (
        openai_client(fake) as client,
        client.responses.stream(model="m", input="weather?", tools=tools) as stream,
    ):
        final = await stream.get_final_response()
    assert final.output[0].type == "function_call"
    assert final.output[0].arguments == '{"city":"Paris"}'


async def test_messages(fake):
    fake.script({"answer": "A right to run."})
    async with anthropic_client(fake) as client:
        answer = await client.messages.create(
            model="claude", max_tokens=100, system="Be short.", messages=user("What is a lease?")
        )
    assert answer.id.startswith("msg_")
    assert answer.content[0].text == "A right to run."
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 4)


async def test_messages_streamed(fake):
    fake.script({"answer": "A right to run."})
    async with (
        anthropic_client(fake) as client,
        client.messages.stream(model="claude", max_tokens=100, messages=user("What is a lease?")) as stream,
    ):
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text == "A right to run."
    assert final.stop_reason == "end_turn"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (4, 4)


async def test_messages_ask_for_a_tool(fake):
    fake.script({**WEATHER_RULE, "answer": "Let me look."})
    tools: Any = [{"name": "get_weather", "input_schema": TOOL_PARAMETERS}]
    async with anthropic_client(fake) as client:
        whole = await client.messages.create(model="c", max_tokens=99, messages=user("weather?"), tools=tools)
        async with client.messages.stream(model="c", max_tokens=99, messages=user("weather?"), tools=tools) as stream:
            streamed = await stream.get_final_message()
    for answer in (whole, streamed):
        assert answer.stop_reason == "tool_use"
        assert answer.content[0].text == "Let me look."
        assert (answer.content[1].name, answer.content[1].input) == ("get_weather", {"city": "Paris"})
        assert answer.content[1].id.startswith("toolu_")


async def test_the_calls_own_limit_cuts_the_answer(fake):
    fake.script({"answer": "one two three four"})
    async with openai_client(fake) as client:
        chat = await client.chat.completions.create(model="m", messages=user("count"), max_tokens=2)
        response = await client.responses.create(model="m", input="count", max_output_tokens=2)
        stream = await client.responses.create(model="m", input="count", max_output_tokens=2, stream=True)
        last = [event async for event in stream][-1]
    async with anthropic_client(fake) as client:
        message = await client.messages.create(model="m", max_tokens=2, messages=user("count"))
    assert (chat.choices[0].message.content, chat.choices[0].finish_reason) == ("one two ", "length")
    assert (response.output_text, response.status) == ("one two ", "incomplete")
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert last.type == "response.incomplete"
    assert (message.content[0].text, message.stop_reason) == ("one two ", "max_tokens")


async def test_scripted_errors_are_the_providers_own(fake):
    fake.script({"contains": "limit", "status": 429, "retry_after": 2, "error": "Too fast."}, {"status": 529})
    async with openai_client(fake) as client:
        with pytest.raises(openai.RateLimitError, match="Too fast") as limited:
            await client.chat.completions.create(model="m", messages=user("limit"))
    async with anthropic_client(fake) as client:
        with pytest.raises(anthropic.APIStatusError) as overloaded:
            await client.messages.create(model="m", max_tokens=9, messages=user("anything"))
    assert limited.value.code == "rate_limit_exceeded"
    assert limited.value.response.headers["retry-after"] == "2"
    assert overloaded.value.status_code == 529
    assert overloaded.value.body["error"]["type"] == "overloaded_error"


async def test_models(fake):
    async with openai_client(fake) as client:
        names = [model.id async for model in client.models.list()]
    async with anthropic_client(fake) as client:
        listed = [model.id async for model in client.models.list()]
    assert names == listed
    assert "gpt-5" in names
