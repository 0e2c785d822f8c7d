"""Calls met on their way: answered once, kept, and given again as they were."""

import gzip
import json
import threading
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from dayshift.llm.capture import httpx
from tests.llm.tape import Tape, recording

URL = "https://api.openai.com/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
EVENTS = [
    b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"lo"}}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
    b"data: [DONE]\n\n",
]


class Provider:
    """Answers by a list of responses, and counts."""

    def __init__(self, *responses: httpx2.Response) -> None:
        self.responses = list(responses)
        self.calls = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        return self.responses.pop(0)

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.MockTransport(self))

    def plain_client(self) -> httpx2.Client:
        return httpx2.Client(transport=httpx2.MockTransport(self))


class Chunks(httpx2.AsyncByteStream, httpx2.SyncByteStream):
    """A stream that comes in pieces which know nothing of events; `breaks_at` pieces it breaks."""

    def __init__(
        self, body: bytes, size: int = 11, breaks_at: int | None = None, note: list[str] | None = None
    ) -> None:
        self.pieces = [body[at : at + size] for at in range(0, len(body), size)]
        self.breaks_at = breaks_at
        self.note = note if note is not None else []

    def __iter__(self) -> Iterator[bytes]:
        for number, piece in enumerate(self.pieces):
            if number == self.breaks_at:
                raise httpx2.ReadError("the connection broke")
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def whole(answer: dict, **headers: str) -> httpx2.Response:
    return httpx2.Response(200, json=answer, headers={"x-request-id": "req_1", **headers})


def streamed(**options) -> httpx2.Response:
    return httpx2.Response(
        200, headers={"content-type": "text/event-stream"}, stream=Chunks(b"".join(EVENTS), **options)
    )


@pytest.mark.parametrize(("characters", "is_beside"), [(1_000, False), (500_000, True)])
async def test_a_long_prompt_is_read_beside_the_loop(monkeypatch, characters, is_beside):
    threads, read = [], httpx.question_of

    def noting(*arguments):
        threads.append(threading.get_ident())
        return read(*arguments)

    monkeypatch.setattr(httpx, "question_of", noting)
    tape, provider = Tape(), Provider(whole({"id": "1"}))
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * characters}]}
    with recording(tape, httpx2):
        async with provider.client() as client:
            await client.post(URL, json=body)
            tape.rewind()
            await client.post(URL, json=body)
    assert provider.calls == 1
    assert [thread != threading.get_ident() for thread in threads] == [is_beside, is_beside]


async def test_an_answer_is_given_again_and_the_provider_is_asked_once():
    tape, provider = Tape(), Provider(whole({"id": "1", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}))
    with recording(tape, httpx2):
        async with provider.client() as client:
            first = await client.post(URL, json=BODY)
            tape.rewind()
            again = await client.post(URL, json=BODY)
    assert provider.calls == 1
    assert (again.status_code, again.content, again.headers["x-request-id"]) == (200, first.content, "req_1")
    assert again.json()["id"] == "1"
    assert (tape.usages[0].input_tokens, tape.usages[0].output_tokens) == (3, 2)


async def test_a_packed_answer_is_kept_as_it_reads():
    packed = gzip.compress(b'{"id": "packed"}')
    answer = httpx2.Response(
        200, content=packed, headers={"content-encoding": "gzip", "content-type": "application/json"}
    )
    tape, provider = Tape(), Provider(answer)
    with recording(tape, httpx2):
        async with provider.client() as client:
            assert (await client.post(URL, json=BODY)).json() == {"id": "packed"}
            tape.rewind()
            assert (await client.post(URL, json=BODY)).json() == {"id": "packed"}
    [[kept]] = tape.kept.values()
    assert kept.body == b'{"id": "packed"}'


async def test_a_stream_comes_as_it_came_and_its_end_waits_for_the_commit():
    tape, provider = Tape(), Provider(streamed())
    seen: list[bytes] = []
    with recording(tape, httpx2):
        async with provider.client() as client:
            async with client.stream("POST", URL, json={**BODY, "stream": True}) as response:
                async for piece in response.aiter_bytes():
                    if b"[DONE]" in piece:
                        assert tape.after == ["recorded"]
                    else:
                        assert tape.after == []
                    seen.append(piece)
            tape.rewind()
            async with client.stream("POST", URL, json={**BODY, "stream": True}) as response:
                again = await response.aread()
                assert response.headers["content-type"] == "text/event-stream"
    assert seen == EVENTS
    assert again == b"".join(EVENTS)
    assert provider.calls == 1
    assert (tape.usages[0].input_tokens, tape.usages[0].output_tokens) == (3, 2)


def test_plain_clients_are_captured_in_the_same_way():
    tape, provider = Tape(), Provider(whole({"id": "1"}), streamed())
    with recording(tape, httpx2), provider.plain_client() as client:
        first = client.post(URL, json=BODY).json()
        with client.stream("POST", URL, json={**BODY, "stream": True}) as response:
            live = response.read()
        tape.rewind()
        assert client.post(URL, json=BODY).json() == first
        with client.stream("POST", URL, json={**BODY, "stream": True}) as response:
            assert response.read() == live == b"".join(EVENTS)
    assert provider.calls == 2


async def test_a_failure_is_handed_on_with_all_its_headers_and_a_retry_takes_it_back():
    busy = httpx2.Response(429, json={"error": "slow down"}, headers={"retry-after": "2"})
    tape, provider = Tape(), Provider(busy, whole({"id": "1"}))
    with recording(tape, httpx2):
        async with provider.client() as client:
            refused = await client.post(URL, json=BODY)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
            [(_, answer, response)] = tape.failures
            assert (answer.status, response is refused) == (429, True)
            await client.post(URL, json=BODY, headers={"x-stainless-retry-count": "1"})
    assert tape.failures == []


async def test_a_connection_that_failed_is_a_failure_of_its_class():
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("nobody there", request=request)

    tape = Tape()
    with recording(tape, httpx2):
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(refuse)) as client:
            with pytest.raises(httpx2.ConnectError):
                await client.post(URL, json=BODY)
            [(content, answer, _)] = tape.failures
            tape.kept[content].append(answer)
            with pytest.raises(httpx2.ConnectError, match="nobody there"):
                await client.post(URL, json=BODY)


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", "https://api.openai.com/v1/files", b"{}"),
        ("POST", "https://api.openai.com/v1/traces/ingest", b"{}"),
        ("GET", "https://api.openai.com/v1/responses/resp_1", b""),
        ("POST", "https://api.openai.com:8443/v1/chat/completions", b"{}"),
        ("POST", "http://api.openai.com/v1/chat/completions", b"{}"),
        ("POST", "https://api.openai.com/v2/chat/completions", b"{}"),
        ("POST", "https://example.com/v1/chat/completions", b"{}"),
        ("POST", URL, b"--boundary\r\n"),
        ("POST", URL, b"[1]"),
    ],
)
async def test_all_else_passes_untouched(method, url, body):
    tape, provider = Tape(), Provider(httpx2.Response(200, content=b"as it is"))
    with recording(tape, httpx2):
        async with provider.client() as client:
            answer = await client.request(method, url, content=body)
    assert (answer.content, tape.asked) == (b"as it is", [])


async def test_outside_of_a_task_and_after_it_is_undone_nothing_is_captured():
    tape, provider = Tape(), Provider(whole({}), whole({}))
    chosen = httpx2.AsyncClient._transport_for_url
    with recording(tape, httpx2):
        assert httpx2.AsyncClient._transport_for_url is not chosen
    assert httpx2.AsyncClient._transport_for_url is chosen
    async with provider.client() as client:
        await client.post(URL, json=BODY)
    assert tape.asked == []


@pytest.mark.parametrize(
    ("fields", "is_kept_there", "adds_there"),
    [
        ({}, False, False),
        ({"conversation": None, "previous_response_id": None, "background": False}, False, False),
        ({"previous_response_id": "resp_1"}, True, False),
        ({"background": True}, True, False),
        ({"conversation": "conv_1"}, True, True),
        ({"conversation": {"id": "conv_1"}}, True, True),
    ],
)
async def test_a_call_that_adds_to_a_conversation_is_begun_in_writing(fields, is_kept_there, adds_there):
    tape, provider = Tape(), Provider(whole({"id": "1"}), whole({"id": "2"}))
    url, body = "https://api.openai.com/v1/responses", {"model": "m", "input": "hi", **fields}
    with recording(tape, httpx2):
        async with provider.client() as client:
            await client.post(url, json=body)
        with provider.plain_client() as client:
            client.post(url, json={**body, "input": "ho"})
    assert tape.after == (["begun", "recorded"] * 2 if adds_there else ["recorded"] * 2)
    assert {(asked.is_kept_there, asked.adds_there) for asked in tape.asked} == {(is_kept_there, adds_there)}


def test_what_does_not_change_the_question_is_no_part_of_it():
    from dayshift.llm.formats import CHAT, MESSAGES
    from dayshift.llm.request import question_of

    def content(body: dict, **headers: str) -> bytes:
        return question_of(CHAT, headers, json.dumps(body).encode()).digest

    assert (
        content(BODY)
        == content({**BODY, "user": "u1", "metadata": {"run": "7"}})
        == content(dict(reversed(BODY.items())))
    )
    assert content(BODY) != content({**BODY, "model": "n"})
    assert content(BODY) != content({**BODY, "temperature": 0.5})
    beta = {"anthropic-beta": "tools-2026"}
    plain = question_of(MESSAGES, {"x-api-key": "secret"}, json.dumps(BODY).encode())
    assert plain.digest != question_of(MESSAGES, beta, json.dumps(BODY).encode()).digest
    assert plain == question_of(MESSAGES, {"x-api-key": "another"}, json.dumps(BODY).encode())


def test_ids_that_a_framework_made_are_numbered_and_a_providers_stay():
    from dayshift.llm.formats import CHAT
    from dayshift.llm.request import question_of

    def content(identity: str) -> bytes:
        call = {"id": identity, "type": "function", "function": {"name": "f", "arguments": "{}"}}
        messages = [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": identity, "content": "1"},
        ]
        return question_of(CHAT, {}, json.dumps({"model": "m", "messages": messages}).encode()).digest

    assert content("pyd_ai_11111111") == content("pyd_ai_22222222")
    assert content("call_abcdefgh1") != content("call_abcdefgh2")
