"""What goes wrong on purpose, as a caller sees it."""

import json

import anthropic
import httpx2
import openai
import pytest

from tests.fakellm.process import chat_body, events_of
from tests.fakellm.test_sdks import anthropic_client, openai_client, user
from tests.fakellm.test_tally import send_raw

PATH = "/v1/chat/completions"
LONG = {"answer": "x" * 40}


def fault(fake, name, **more):
    fake.script(LONG)
    fake.faults({"fault": name, "answer": "x" * 40, **more})


def read_what_comes(fake, body) -> bytes:
    received = b""
    with pytest.raises(httpx2.TransportError), fake.http.stream("POST", PATH, json=body) as answer:
        for part in answer.iter_bytes():
            received += part
    return received


def test_a_fault_is_switched_on_and_off_while_running(fake):
    fake.faults({"status": 529, "times": 2})
    asked = [fake.http.post(PATH, json=chat_body()).status_code for _ in range(3)]
    fake.faults({"status": 503, "model": "gpt-4o-mini"})
    asked.append(fake.http.post(PATH, json=chat_body()).status_code)
    fake.faults()
    asked.append(fake.http.post(PATH, json=chat_body()).status_code)
    assert asked == [529, 529, 200, 503, 200]


def test_a_share_of_the_calls(fake):
    fake.faults({"status": 500, "share": 0.5})
    statuses = [fake.http.post(PATH, json=chat_body()).status_code for _ in range(100)]
    assert 20 < statuses.count(500) < 80


@pytest.mark.parametrize("stream", [True, False])
def test_a_reset_breaks_the_answer_and_is_not_paid_for(fake, stream):
    fault(fake, "reset", fault_after_tokens=3)
    received = read_what_comes(fake, chat_body(stream=stream))
    assert b"[DONE]" not in received
    assert fake.wait_for_stats(open=0)["answered"] == 0


@pytest.mark.parametrize("name", ["hang", "hang_midway"])
def test_a_hang_lasts_until_the_caller_leaves(fake, name):
    fault(fake, name)
    caller = send_raw(fake, chat_body(stream=True))
    fake.wait_for_stats(open=1)
    if name == "hang_midway":
        assert caller.recv(65536).startswith(b"HTTP/1.1 200 OK")
    caller.close()
    fake.wait_for_stats(open=0, aborted=1)


def test_a_stream_that_ends_without_its_terminal_event(fake):
    fault(fake, "end_early", fault_after_tokens=3)
    events = events_of(fake.http.post(PATH, json=chat_body(stream=True)).text)
    contents = [event["choices"][0]["delta"].get("content") for _, event in events]
    assert contents == ["", "xxxx", "xxxx", "xxxx"]


async def test_error_events_reach_the_official_clients(fake):
    fault(fake, "error_event")
    async with openai_client(fake) as client:
        stream = await client.chat.completions.create(model="m", messages=user("hi"), stream=True)
        with pytest.raises(openai.APIError, match="error while processing"):
            [_ async for _ in stream]
    async with anthropic_client(fake) as claude:
        events = await claude.messages.create(model="m", messages=user("hi"), max_tokens=99, stream=True)
        with pytest.raises(anthropic.APIStatusError, match="error while processing"):
            [_ async for _ in events]


@pytest.mark.parametrize("path", [PATH, "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("stream", [True, False])
def test_usage_can_be_missing(fake, path, stream):
    fault(fake, "missing_usage")
    body = chat_body(stream=stream, max_tokens=50, input="x", stream_options={"include_usage": True})
    answer = fake.http.post(path, json=body)
    assert answer.status_code == 200
    assert "usage" not in answer.text
    assert "xxxx" in answer.text


def test_bodies_that_no_client_can_use(fake):
    fault(fake, "malformed_json")
    with pytest.raises(json.JSONDecodeError):
        fake.http.post(PATH, json=chat_body()).json()
    with pytest.raises(json.JSONDecodeError):
        events_of(fake.http.post(PATH, json=chat_body(stream=True)).text)
    fault(fake, "html")
    html = fake.http.post(PATH, json=chat_body(stream=True))
    assert (html.status_code, html.headers["content-type"]) == (200, "text/html")
    fault(fake, "error_in_200")
    assert fake.http.post(PATH, json=chat_body()).json()["error"]["type"] == "server_error"
    fault(fake, "wrong_content_type")
    assert fake.http.post(PATH, json=chat_body()).headers["content-type"] == "text/plain"
    fault(fake, "huge_body", fault_body_bytes=3_000_000)
    assert len(fake.http.post(PATH, json=chat_body()).content) > 3_000_000


@pytest.mark.parametrize("value", ["-5", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", 31_536_000])
def test_an_absurd_retry_after_is_sent_as_it_is(fake, value):
    fake.faults({"status": 429, "retry_after": value})
    assert fake.http.post(PATH, json=chat_body()).headers["retry-after"] == str(value)


def test_latency_grows_with_the_open_calls(fake):
    fake.script({"contains": "hang", "fault": "hang"}, latency_per_open_call=0.05)
    hanging = [send_raw(fake, chat_body("hang")) for _ in range(4)]
    fake.wait_for_stats(open=4)
    assert fake.http.post(PATH, json=chat_body()).elapsed.total_seconds() >= 0.2
    for caller in hanging:
        caller.close()
