"""Answers that no provider gave, as the official SDKs read them."""

import anthropic
import httpx2
import openai
import pytest

from dayshift.llm.formats import CHAT, EMBEDDINGS, MESSAGES, RESPONSES
from dayshift.llm.synthesized import no_answer

MESSAGE = "smart: openai/gpt-5 and anthropic/claude are both unavailable for another 12 s"
OPENAI_CLASSES = {
    "unavailable": openai.InternalServerError,
    "timeout": openai.InternalServerError,
    "rate_limit": openai.RateLimitError,
    "spent": openai.RateLimitError,
    "refused": openai.BadRequestError,
}
ANTHROPIC_CLASSES = {
    "unavailable": anthropic.ServiceUnavailableError,
    "timeout": anthropic.DeadlineExceededError,
    "rate_limit": anthropic.RateLimitError,
    "spent": anthropic.APIStatusError,
    "refused": anthropic.BadRequestError,
}


class Wire:
    """Answers every request in the same way, and counts them."""

    def __init__(self, api, kind) -> None:
        self.asked = 0
        self._answer = no_answer(api, kind, MESSAGE, retry_after_seconds=12)

    def client(self) -> httpx2.Client:
        return httpx2.Client(transport=httpx2.MockTransport(self._say))

    def _say(self, _request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        return httpx2.Response(self._answer.status, headers=self._answer.headers, content=self._answer.body)


CALLS = {
    CHAT: lambda client: client.chat.completions.create(model="smart", messages=[{"role": "user", "content": "Hi"}]),
    RESPONSES: lambda client: client.responses.create(model="smart", input="Hi"),
    EMBEDDINGS: lambda client: client.embeddings.create(model="smart", input="Hi"),
}


@pytest.mark.parametrize("kind", OPENAI_CLASSES)
@pytest.mark.parametrize("api", CALLS, ids=lambda api: api.name)
def test_openais_sdk_raises_its_own_error_and_asks_once(api, kind):
    wire = Wire(api, kind)
    client = openai.OpenAI(api_key="k", http_client=wire.client())
    with pytest.raises(OPENAI_CLASSES[kind]) as raised:
        CALLS[api](client)
    assert wire.asked == 1
    assert MESSAGE in raised.value.message
    assert raised.value.body["message"] == MESSAGE
    assert raised.value.code == raised.value.body["code"]
    assert raised.value.response.headers["retry-after"] == "12.000"


@pytest.mark.parametrize("kind", ANTHROPIC_CLASSES)
@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_sdk_raises_its_own_error_and_asks_once(kind, stream):
    wire = Wire(MESSAGES, kind)
    client = anthropic.Anthropic(api_key="k", http_client=wire.client())
    with pytest.raises(ANTHROPIC_CLASSES[kind]) as raised:
        client.messages.create(model="smart", max_tokens=9, messages=[{"role": "user", "content": "Hi"}], stream=stream)
    assert wire.asked == 1
    assert MESSAGE in raised.value.message
    assert raised.value.body["error"]["message"] == MESSAGE
    assert raised.value.response.headers["x-should-retry"] == "false"
