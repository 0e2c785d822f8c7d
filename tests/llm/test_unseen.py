"""Calls that pass the capture by are told of, once; all others are not."""

import asyncio
import http.client
import json
import urllib.request

import aiohttp
import httpx2
import pytest
import requests

from dayshift.domain.events import CallNotCaptured
from dayshift.llm.capture import Address, Addresses, capturing, core
from dayshift.llm.formats import OPENAI
from dayshift.telemetry import subscribe
from tests.fakellm.process import chat_body, fake_provider
from tests.llm.tape import Tape


@pytest.fixture(scope="module")
def provider():
    with fake_provider() as provider:
        yield provider


@pytest.fixture
def task(provider):
    """Inside of a task, with the provider's address known; what is told of it."""
    told: list[CallNotCaptured] = []
    end = subscribe(CallNotCaptured, told.append)
    addresses = Addresses([Address.of("openai", f"{provider.url}/v1", OPENAI)])
    with capturing(lambda: addresses):
        token = core._recorder.set(Tape())
        yield told
        core._recorder.reset(token)
    end()


def post_by_requests(url):
    assert requests.post(url, json=chat_body(), timeout=10).ok


def post_by_urllib(url):
    body, headers = json.dumps(chat_body()).encode(), {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10).close()


def post_by_aiohttp(url):
    async def post():
        async with aiohttp.ClientSession() as session, session.post(url, json=chat_body()) as response:
            assert response.ok

    asyncio.run(post())


@pytest.mark.parametrize(
    ("post", "library"),
    [(post_by_requests, "http.client"), (post_by_urllib, "http.client"), (post_by_aiohttp, "aiohttp")],
)
def test_a_call_through_another_library_is_told_once(provider, task, post, library):
    for _ in range(2):
        post(f"{provider.url}/v1/chat/completions")
    host, _ = provider.host_and_port
    assert task == [CallNotCaptured(library=library, host=host, path="/v1/chat/completions")]


def test_what_is_no_call_and_what_belongs_to_no_task_is_not_told(provider, task):
    assert requests.get(f"{provider.url}/v1/models", timeout=10).ok
    token = core._recorder.set(None)
    post_by_requests(f"{provider.url}/v1/chat/completions")
    core._recorder.reset(token)
    assert task == []


def test_a_captured_call_is_not_told_whatever_its_transport_sends_it_by(provider, task):
    class OverRequests(httpx2.BaseTransport):
        def handle_request(self, request):
            answer = requests.post(str(request.url), data=request.read(), timeout=10)
            return httpx2.Response(answer.status_code, content=answer.content)

    with httpx2.Client(transport=OverRequests()) as client:
        assert client.post(f"{provider.url}/v1/chat/completions", json=chat_body()).is_success
    assert task == []


def test_afterwards_all_is_as_it_was():
    before = http.client.HTTPConnection.putrequest, aiohttp.ClientRequest.send
    with capturing(lambda: Addresses([])):
        assert http.client.HTTPConnection.putrequest is not before[0]
    assert (http.client.HTTPConnection.putrequest, aiohttp.ClientRequest.send) == before
