"""How a stream can end: by itself, by the provider, by its reader."""

import asyncio
import itertools
import time

import httpx2
import pytest
from openai import APIConnectionError, APIError, AsyncOpenAI

from dayshift.llm.capture import core, streams
from dayshift.llm.exchange import Outgoing, Patience, Reply
from dayshift.llm.formats import sse
from tests.llm.tape import Tape, recording
from tests.llm.test_capture import BODY, EVENTS, URL, Chunks, Provider, streamed, whole

STREAM = {**BODY, "stream": True}
PIECES = len(b"".join(EVENTS)) // 11


def read(client):
    with client.stream("POST", URL, json=STREAM) as response:
        return response.read()


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setattr(streams, "READ_AHEAD_SECONDS", 0)


@pytest.mark.parametrize("breaks_at", [0, 4, 9, PIECES - 1])
async def test_a_stream_that_breaks_is_not_recorded(breaks_at):
    tape, provider = Tape(), Provider(streamed(breaks_at=breaks_at), streamed(breaks_at=breaks_at), streamed())
    with recording(tape, httpx2):
        async with provider.client() as client:
            with pytest.raises(httpx2.ReadError):
                async with client.stream("POST", URL, json=STREAM) as response:
                    await response.aread()
        with provider.plain_client() as client, pytest.raises(httpx2.ReadError):
            read(client)
        assert not any(tape.kept.values())
        async with provider.client() as client, client.stream("POST", URL, json=STREAM) as response:
            assert await response.aread() == b"".join(EVENTS)
    assert provider.calls == 3


def cut(body: bytes) -> httpx2.Response:
    """A stream that its provider ends in good order, but before it has said all."""
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Chunks(body))


async def test_an_end_before_the_last_event_is_no_end():
    """The SDKs would take it for the end of the answer."""
    tape, body = Tape(), b"".join(EVENTS[:1])
    with recording(tape, httpx2):
        async with Provider(cut(body)).client() as client:
            sdk = AsyncOpenAI(api_key="k", http_client=client, max_retries=0)
            stream = await sdk.chat.completions.create(model="m", messages=BODY["messages"], stream=True)
            with pytest.raises(APIConnectionError):
                _read = [chunk async for chunk in stream]
        with (
            Provider(cut(body)).plain_client() as client,
            pytest.raises(httpx2.ReadError, match="before the last event"),
        ):
            read(client)
    assert not any(tape.kept.values())


async def test_a_stream_without_a_bound_ends_as_an_error_of_the_library(monkeypatch):
    monkeypatch.setattr(sse, "LONGEST_STREAM_BYTES", 1_000)
    with recording(Tape(), httpx2):
        for body in (EVENTS[0] * 100, b": ping\n\n" * 1_000):
            async with Provider(cut(body)).client() as client:
                with pytest.raises(httpx2.ReadError):
                    async with client.stream("POST", URL, json=STREAM) as response:
                        await response.aread()
            with Provider(cut(body)).plain_client() as client, pytest.raises(httpx2.ReadError):
                read(client)


async def test_a_stream_that_its_reader_leaves_is_recorded_as_far_as_it_was_read():
    tape, provider = Tape(), Provider(streamed())
    with recording(tape, httpx2):
        for _ in range(2):
            async with provider.client() as client, client.stream("POST", URL, json=STREAM) as response:
                async for piece in response.aiter_bytes():
                    assert piece == EVENTS[0]
                    break
            tape.rewind()
    [[kept]] = tape.kept.values()
    assert (kept.body, kept.is_cut) == (EVENTS[0], True)
    assert provider.calls == 1


def test_a_plain_reader_leaves_in_the_same_way():
    tape, provider = Tape(), Provider(streamed())
    with recording(tape, httpx2):
        for _ in range(2):
            with provider.plain_client() as client, client.stream("POST", URL, json=STREAM) as response:
                assert next(response.iter_bytes()) == EVENTS[0]
            tape.rewind()
    [[kept]] = tape.kept.values()
    assert (kept.body, kept.is_cut) == (EVENTS[0], True)


async def test_whoever_reads_on_where_an_earlier_attempt_left_is_told_so():
    """And does not take half an answer for a whole one."""
    tape, provider = Tape(), Provider(streamed())
    with recording(tape, httpx2):
        async with provider.client() as client, client.stream("POST", URL, json=STREAM) as response:
            await anext(response.aiter_bytes())
        tape.rewind()
        async with provider.client() as client, client.stream("POST", URL, json=STREAM) as response:
            with pytest.raises(httpx2.ReadError, match="left this stream here"):
                await response.aread()
        tape.rewind()
        with provider.plain_client() as client, pytest.raises(httpx2.ReadError, match="left this stream here"):
            read(client)


async def test_a_reader_of_the_sdk_that_just_stops_reading_leaves_by_its_will():
    tape, provider = Tape(), Provider(streamed())
    with recording(tape, httpx2):
        async with AsyncOpenAI(api_key="k", http_client=provider.client(), base_url=URL[:26]) as client:
            said = []
            for _ in range(2):
                chunks = await client.chat.completions.create(**STREAM)
                async for chunk in chunks:
                    said.append(chunk.choices[0].delta.content)
                    break
                await chunks.close()
                tape.rewind()
    assert said == ["Hel", "Hel"]
    assert provider.calls == 1


async def test_an_answer_in_one_piece_to_a_call_for_a_stream_is_kept_whole():
    answer = whole({"id": "1", "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    tape, provider = Tape(), Provider(answer)
    with recording(tape, httpx2):
        for _ in range(2):
            async with provider.client() as client, client.stream("POST", URL, json=STREAM) as response:
                await response.aread()
                assert response.json()["id"] == "1"
            tape.rewind()
    assert provider.calls == 1
    assert tape.usages[0].output_tokens == 2


class Restarting(Tape):
    """As where the settings say that a broken stream begins anew."""

    async def send(self, call, send, broken=None):
        return Reply(await send(Outgoing()), may_restart=broken is None)

    def send_here(self, call, send, broken=None):
        return Reply(send(Outgoing()), may_restart=broken is None)


@pytest.mark.parametrize("is_plain", [False, True])
async def test_a_stream_that_breaks_begins_anew_behind_a_mark_where_that_is_wanted(is_plain):
    tape, provider = Restarting(), Provider(streamed(breaks_at=9), streamed())
    whole_stream = b"".join(EVENTS)
    with recording(tape, httpx2):
        if is_plain:
            with provider.plain_client() as client:
                text = await asyncio.to_thread(read, client)
        else:
            async with provider.client() as client, client.stream("POST", URL, json=STREAM) as response:
                text = await response.aread()
    before, mark, after = text.partition(b": dayshift restarted this stream at \n\n")
    assert whole_stream.startswith(before)
    assert before
    assert mark
    assert after == whole_stream
    [[kept]] = tape.kept.values()
    assert kept.body == whole_stream
    assert provider.calls == 2
    first, anew, *again = (
        tape.said_texts[: tape.said_texts.index("anew")],
        *tape.said_texts[tape.said_texts.index("anew") :],
    )
    assert anew == "anew"
    assert "".join(again).startswith("".join(first))


async def test_a_stream_that_breaks_again_is_told_to_its_reader():
    tape, provider = Restarting(), Provider(streamed(breaks_at=9), streamed(breaks_at=9))
    with recording(tape, httpx2):
        async with provider.client() as client, client.stream("POST", URL, json=STREAM) as response:
            with pytest.raises(httpx2.ReadError):
                await response.aread()
    assert not any(tape.kept.values())
    assert provider.calls == 2


TROUBLE = {
    "an error": b'data: {"error":{"message":"overloaded","type":"server_error","code":null}}\n\n',
    "no JSON": b'data: {"choi\n\n',
    "half an event": b'data: {"choices":[{"delta":{"content":"l',
}


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_trouble_amid_a_stream_is_a_break_like_any_other(trouble):
    tape, body = Restarting(), EVENTS[0] + TROUBLE[trouble]
    with recording(tape, httpx2):
        for is_plain in (False, True):
            provider = Provider(cut(body), streamed())
            if is_plain:
                with provider.plain_client() as client:
                    text = await asyncio.to_thread(read, client)
            else:
                async with provider.client() as client, client.stream("POST", URL, json=STREAM) as response:
                    text = await response.aread()
            assert text == EVENTS[0] + b": dayshift restarted this stream at \n\n" + b"".join(EVENTS)
            tape = Restarting()
            core._recorder.set(tape)


async def test_an_error_amid_a_stream_reaches_the_sdk_as_the_provider_said_it():
    tape = Tape()
    with recording(tape, httpx2):
        async with Provider(cut(EVENTS[0] + TROUBLE["an error"])).client() as client:
            sdk = AsyncOpenAI(api_key="k", http_client=client, max_retries=0)
            stream = await sdk.chat.completions.create(model="m", messages=BODY["messages"], stream=True)
            with pytest.raises(APIError, match="overloaded"):
                _read = [chunk async for chunk in stream]
    assert not any(tape.kept.values())


class Impatient(Tape):
    """Has little time for every try."""

    patience = Patience(connect_seconds=1, first_token_seconds=0.3, idle_seconds=0.2, total_seconds=0.5)

    async def send(self, call, send, broken=None):
        return Reply(await send(Outgoing(patience=self.patience)), patience=self.patience)

    def send_here(self, call, send, broken=None):
        return Reply(send(Outgoing(patience=self.patience)), patience=self.patience)


class Trickle(httpx2.AsyncByteStream, httpx2.SyncByteStream):
    """Says a little again and again, always in time, and never comes to an end."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    def _all(self):
        return itertools.chain(self.pieces, itertools.repeat(b": wait\n\n"))

    def __iter__(self):
        for piece in self._all():
            time.sleep(0.02)
            yield piece

    async def __aiter__(self):
        for piece in self._all():
            await asyncio.sleep(0.02)
            yield piece


def trickling(kind: str, *pieces: bytes) -> httpx2.Response:
    return httpx2.Response(200, headers={"content-type": kind}, stream=Trickle(*pieces))


@pytest.mark.parametrize(
    ("kind", "pieces"), [("application/json", ()), ("text/event-stream", ()), ("text/event-stream", EVENTS[:1])]
)
async def test_a_trickle_is_late_however_lively_it_is(kind, pieces):
    began = time.monotonic()
    with recording(Impatient(), httpx2):
        async with Provider(trickling(kind, *pieces)).client() as client:
            with pytest.raises(httpx2.ReadTimeout):
                async with client.stream("POST", URL, json=STREAM) as response:
                    await response.aread()
        with Provider(trickling(kind, *pieces)).plain_client() as client, pytest.raises(httpx2.ReadTimeout):
            read(client)
    assert time.monotonic() - began < 5


class OpenEnd(Trickle):
    """Says all, and leaves the connection open."""

    async def __aiter__(self):
        for piece in self.pieces:
            yield piece
        await asyncio.sleep(60)


async def test_a_connection_that_stays_open_after_the_last_event_costs_nobody_the_answer():
    response = httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=OpenEnd(*EVENTS))
    tape = Impatient()
    with recording(tape, httpx2):
        async with Provider(response).client() as client, client.stream("POST", URL, json=STREAM) as reading:
            assert await reading.aread() == b"".join(EVENTS)
    assert len(tape.kept) == 1


@pytest.mark.parametrize("is_plain", [False, True])
async def test_who_reads_a_stream_again_after_its_end_gets_nothing_twice(is_plain):
    tape, provider = Tape(), Provider(streamed())
    with recording(tape, httpx2):
        if is_plain:
            with provider.plain_client() as client, client.stream("POST", URL, json=STREAM) as response:
                text = await asyncio.to_thread(lambda: b"".join(response.stream))
                assert b"".join(response.stream) == b""
        else:
            async with provider.client() as client, client.stream("POST", URL, json=STREAM) as response:
                text = b"".join([piece async for piece in response.stream])
                assert [piece async for piece in response.stream] == []
    assert text == b"".join(EVENTS)
    [[kept]] = tape.kept.values()
    assert kept.body == text
