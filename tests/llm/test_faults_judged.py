"""Everything that the commandable provider can do wrong, sent for real and judged: none hangs, each is retry or final."""

import asyncio
import json
import time

import httpx2
import pytest

from dayshift.llm.capture.sending import AsyncSender
from dayshift.llm.exchange import LlmCall, NoAnswer, Outgoing, Patience
from dayshift.llm.formats import CHAT, MESSAGES, RESPONSES
from dayshift.llm.request import question_of
from dayshift.llm.verdicts import verdict_of_error
from tests.fakellm.process import FakeProvider, fake_provider

SECONDS, HUNG_SECONDS = 20.0, 0.6
HUGE_BYTES = 65 * 1024 * 1024
ASKED = {
    "chat": ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}),
    "responses": ("/v1/responses", {"model": "m", "input": "Hi"}),
    "messages": ("/v1/messages", {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]}),
}
REASONS = {
    None: ("ok", "ok"),
    "missing_usage": ("ok", "ok"),
    "hang": ("retry", "timeout"),
    "hang_midway": ("retry", "timeout"),
    "reset": ("retry", "broken_off"),
    "end_early": ("retry", "broken_off"),
    "error_event": ("retry", "server_error"),
    "malformed_json": ("retry", "malformed"),
    "wrong_content_type": ("retry", "content_type"),
    "html": ("retry", "content_type"),
    "error_in_200": ("retry", "server_error"),
    "huge_body": ("retry", "broken_off"),
}
FORMATS = [(api, stream) for api in (CHAT, RESPONSES, MESSAGES) for stream in (False, True)]


@pytest.fixture(scope="module")
def _fake():
    with fake_provider() as fake:
        yield fake


@pytest.fixture
def fake(_fake: FakeProvider) -> FakeProvider:
    _fake.restart()
    return _fake


def patience(seconds: float) -> Patience:
    return Patience(connect_seconds=5, first_token_seconds=seconds, idle_seconds=seconds, total_seconds=seconds)


async def judged(fake: FakeProvider, api, *, stream: bool = False, seconds: float = SECONDS):
    path, body = ASKED[api.name]
    content = json.dumps(body | ({"stream": True} if stream else {})).encode()
    headers = {"authorization": "Bearer k", "x-api-key": "k", "content-type": "application/json"}
    call = LlmCall(
        provider="fake",
        api=api,
        question=question_of(api, headers, content),
        url=fake.url + path,
        headers=headers,
        body=content,
    )
    async with httpx2.AsyncHTTPTransport() as transport:
        request = httpx2.Request("POST", call.url, headers=headers, content=content)
        try:
            incoming = await AsyncSender(httpx2, transport, request, call)(Outgoing(patience=patience(seconds)))
        except NoAnswer as error:
            return verdict_of_error(error.error)
        if incoming.response is not None and incoming.opening is not None:
            await incoming.response.aclose()
        return incoming.verdict(api)


@pytest.mark.parametrize("fault", REASONS)
@pytest.mark.parametrize(("api", "stream"), FORMATS, ids=lambda one: getattr(one, "name", f"stream={one}"))
async def test_a_fault_is_known_for_what_it_is(fake, api, stream, fault):
    fake.script({"answer": "x" * 400})
    if fault is not None:
        fake.faults({"fault": fault, "fault_after_tokens": 0, "fault_body_bytes": HUGE_BYTES, "answer": "x" * 400})
    began, hangs = time.monotonic(), fault in ("hang", "hang_midway")
    verdict = await judged(fake, api, stream=stream, seconds=HUNG_SECONDS if hangs else SECONDS)
    assert (verdict.kind, verdict.reason) == REASONS[fault]
    assert verdict.failed is (fault not in (None, "missing_usage"))
    assert time.monotonic() - began < SECONDS


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES], ids=lambda api: api.name)
async def test_a_status_of_the_providers_fault_is_retried_and_counted(fake, api, status):
    fake.faults({"status": status, "retry_after": 7})
    verdict = await judged(fake, api)
    assert (verdict.kind, verdict.failed, verdict.retry_after_seconds) == ("retry", True, 7)


@pytest.mark.parametrize("retry_after", ["31536000", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", "-5"])
async def test_an_absurd_wish_to_wait_is_bounded(fake, retry_after):
    fake.faults({"status": 429, "retry_after": retry_after})
    verdict = await judged(fake, CHAT)
    assert verdict.kind == "limit"
    assert verdict.retry_after_seconds is None or 0 <= verdict.retry_after_seconds <= 300


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES], ids=lambda api: api.name)
async def test_the_kinds_of_429_and_a_spend_limit_are_told_apart(fake, api):
    for limit, expected in (
        ({"requests_per_minute": 1, "burst_seconds": 60}, ("limit", "rate_limit")),
        ({"quota_tokens": 1}, ("final", "quota")),
    ):
        fake.limit({"default": limit})
        await judged(fake, api)
        verdict = await judged(fake, api)
        assert (verdict.kind, verdict.reason, verdict.failed) == (*expected, None)
        assert verdict.may_help_elsewhere


async def test_a_request_larger_than_the_whole_limit_is_not_waited_for(fake):
    fake.limit({"default": {"tokens_per_minute": 1}})
    verdict = await judged(fake, CHAT)
    assert (verdict.kind, verdict.reason) == ("final", "too_large")


async def test_no_server_at_all(fake):
    path, body = ASKED["chat"]
    del path
    listening = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    async with httpx2.AsyncClient() as client:
        with pytest.raises(httpx2.ConnectError) as raised:
            await client.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body)
    verdict = verdict_of_error(raised.value)
    assert (verdict.kind, verdict.is_unsent, verdict.failed) == ("retry", True, True)
