"""Every exchange that was recorded from a real provider goes through capture and back unchanged.

The recordings lie beside the project in `shared/data/provider_exchanges`, and are not part of it.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from dayshift.llm.capture import Address, Addresses, core
from dayshift.llm.capture.httpx import install
from dayshift.llm.formats import ANTHROPIC, OPENAI, EventSplitter
from tests.llm.tape import Tape

EXCHANGES = Path(__file__).parents[3] / "shared" / "data" / "provider_exchanges"
PREFIXES = {  # of those who speak OpenAI's chat completions under another address
    "api.openai.com": "/v1",
    "api.groq.com": "/openai/v1",
    "openrouter.ai": "/api/v1",
    "api.mistral.ai": "/v1",
    "api.cerebras.ai": "/v1",
    "api.deepseek.com": "",
    "api.together.xyz": "/v1",
}
ADDRESSES = Addresses(
    [Address.of("openai", f"https://{host}{prefix}", OPENAI) for host, prefix in PREFIXES.items()]
    + [Address.of("anthropic", "https://api.anthropic.com", ANTHROPIC)]
)


def exchanges(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(EXCHANGES / name, "rt") as lines:
        for line in lines:
            exchange = json.loads(line)
            if ADDRESSES.call_of(exchange["method"], httpx2.URL(exchange["url"])) is not None:
                yield exchange


def body_of(response: Any) -> bytes:
    return response.encode() if isinstance(response, str) else json.dumps(response).encode()


def as_answered(exchange: dict[str, Any]) -> httpx2.Response:
    headers = {name: str(value) for name, value in exchange["headers"].items() if name.lower() != "content-length"}
    if isinstance(exchange["response"], str):
        headers["content-type"] = "text/event-stream"
    return httpx2.Response(exchange["status"], headers=headers, content=body_of(exchange["response"]))


def ask(client: httpx2.Client, exchange: dict[str, Any]) -> httpx2.Response:
    with client.stream("POST", exchange["url"], json=exchange["request"]) as response:
        response.read()
        return response


@pytest.mark.skipif(not EXCHANGES.is_dir(), reason="the recorded exchanges lie in ../shared, which is not here")
@pytest.mark.parametrize("name", ["openllmetry.jsonl.gz", "crewai.jsonl.gz", "pydantic-ai.jsonl.gz"])
def test_what_a_provider_said_is_said_again(name):
    undo = install(httpx2, lambda: ADDRESSES)
    said: list[httpx2.Response] = []
    try:
        with httpx2.Client(transport=httpx2.MockTransport(lambda _: said.pop(0))) as client:
            replayed = sum(was_replayed(client, said, exchange) for exchange in exchanges(name))
    finally:
        undo()
    assert replayed > 50


def was_replayed(client: httpx2.Client, said: list[httpx2.Response], exchange: dict[str, Any]) -> bool:
    """Ask once, and once more of the tape; answers whether there was something to replay."""
    tape, expected = Tape(), body_of(exchange["response"])
    token = core._recorder.set(tape)
    try:
        said.append(as_answered(exchange))
        first = ask(client, exchange)
        assert (first.status_code, first.content) == (exchange["status"], expected)
        if exchange["status"] != 200:
            assert [answer.status for _, answer, _ in tape.failures] == [exchange["status"]]
            return False
        is_stream = isinstance(exchange["response"], str)
        if is_stream and not any(tape.kept.values()):
            assert not ends(exchange), "a stream that ended was not recorded"
            return False
        tape.rewind()
        again = ask(client, exchange)
        assert (again.status_code, again.headers.get("content-type")) == (200, first.headers.get("content-type"))
        assert again.content == expected[: len(again.content)]
        assert len(again.content) == len(expected) or is_stream
        for header in ("x-request-id", "request-id", "openai-processing-ms"):
            assert again.headers.get(header) == first.headers.get(header)
        if not is_stream and "usage" in exchange["response"] and urlsplit(exchange["url"]).path.endswith("completions"):
            assert tape.usages[0].input_tokens == (exchange["response"]["usage"] or {}).get("prompt_tokens", 0)
        return True
    finally:
        core._recorder.reset(token)


def ends(exchange: dict[str, Any]) -> bool:
    """Whether the recording has a stream's last event, asked in a stream's own terms."""
    called = ADDRESSES.call_of("POST", httpx2.URL(exchange["url"]))
    api = called and called[1]
    assert api is not None
    asked = exchange["request"].get("stream") is True
    return asked and any(api.is_last(event) for event in EventSplitter().feed(exchange["response"].encode()))
