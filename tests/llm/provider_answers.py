"""Every kind of answer that a provider gives, and the page that shows what each means: python -m tests.llm.provider_answers"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from msgspec import Struct

from dayshift.llm import verdicts
from dayshift.llm.formats import CHAT, EMBEDDINGS, MESSAGES, RESPONSES, Event, Format
from dayshift.llm.formats.sse import event_of
from dayshift.llm.verdicts import LONGEST_ANSWER_BYTES, Verdict, verdict_of, verdict_of_error, verdict_of_event
from dayshift.llm.waits_told import LONGEST_SECONDS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "provider-answers.md"
ALL = (CHAT, RESPONSES, MESSAGES, EMBEDDINGS)
OPENAI = (CHAT, RESPONSES, EMBEDDINGS)
STREAMED = (CHAT, RESPONSES, MESSAGES)
ANSWERS: dict[str, dict[str, Any]] = {
    "chat": {"object": "chat.completion", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    "responses": {"object": "response", "status": "completed", "error": None, "output": [], "usage": {}},
    "messages": {"type": "message", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}},
    "embeddings": {"object": "list", "data": [], "usage": {"prompt_tokens": 1}},
}


class Case(Struct, frozen=True):
    """One kind of answer: in words, and as it comes in each format that has it."""

    words: str
    verdicts: list[Verdict]

    @property
    def row(self) -> str:
        one = self.verdicts[0]
        breaker = {True: "failed", False: "well", None: "-"}[one.failed]
        target = "-" if one.kind == "ok" else "may answer" if one.may_help_elsewhere else "no"
        unsent = " (nothing was sent)" if one.is_unsent else ""
        return f"| {self.words}{unsent} | **{one.kind}** | `{one.reason}` | {breaker} | {target} |\n"


def whole(
    words: str, status: int, body: Any, *, headers: dict[str, str] | None = None, formats: tuple[Format, ...] = ALL
) -> Case:
    """An answer in one piece; `body` is JSON, bytes, or a function of the format."""
    found = []
    for api in formats:
        said = body(api) if callable(body) else body
        text = said if isinstance(said, bytes) else msgspec.json.encode(said)
        found.append(verdict_of(api, status, {"content-type": "application/json"} | (headers or {}), text))
    return Case(words, found)


def streamed(words: str, *events: tuple[Format, bytes]) -> Case:
    """A stream up to the event that decides."""
    return Case(
        words, [verdict for api, raw in events if (verdict := verdict_of_event(api, event_of(raw))) is not None]
    )


def raised(words: str, *errors: BaseException) -> Case:
    return Case(words, [verdict_of_error(error) for error in errors])


def openai(kind: str | None, code: str | int | None, message: str = "no") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind: str, message: str = "no", error_code: str | None = None) -> dict[str, Any]:
    details = {"details": {"error_code": error_code}} if error_code else {}
    return {"type": "error", "error": {"type": kind, "message": message, **details}}


def named(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\n".encode() + data(event)


def data(event: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


def answers() -> Iterator[Case]:
    yield whole("an answer", 200, lambda api: ANSWERS[api.name])
    yield whole(
        "an answer without `usage`", 200, lambda api: {k: v for k, v in ANSWERS[api.name].items() if k != "usage"}
    )
    yield whole("an answer, and no `content-type`", 200, lambda api: ANSWERS[api.name], headers={"content-type": ""})
    yield whole("a body that is no JSON, or half of one", 200, lambda api: msgspec.json.encode(ANSWERS[api.name])[:-9])
    yield whole("no body", 200, b"")
    yield whole(
        "another content type than JSON, whatever the body",
        200,
        lambda api: ANSWERS[api.name],
        headers={"content-type": "text/plain"},
    )
    yield whole("a page of HTML from a proxy", 200, b"<html>", headers={"content-type": "text/html"})
    yield whole("JSON that is no answer of this API", 200, {"status": "ok"})
    yield whole(f"more than {LONGEST_ANSWER_BYTES >> 20} MiB", 200, b" " * (LONGEST_ANSWER_BYTES + 1), formats=(CHAT,))
    yield whole("an error of the provider's in a 200", 200, openai("server_error", None))
    yield whole("the same in Anthropic's words", 200, anthropic("api_error"), formats=(MESSAGES,))
    yield whole("`overloaded_error` in a 200", 200, anthropic("overloaded_error"))
    yield whole("a rate limit in a 200", 200, openai("requests", "rate_limit_exceeded"))
    yield whole("an error about the request in a 200", 200, openai("invalid_request_error", "invalid_prompt"))
    yield whole(
        "a response that `failed` by the provider's fault",
        200,
        ANSWERS["responses"] | {"status": "failed", "error": {"code": "server_error", "message": "no"}},
        formats=(RESPONSES,),
    )
    yield whole(
        "a response that `failed` by its prompt",
        200,
        ANSWERS["responses"] | {"status": "failed", "error": {"code": "invalid_prompt", "message": "no"}},
        formats=(RESPONSES,),
    )


def refusals() -> Iterator[Case]:
    yield whole("429 of a limit that refills", 429, openai("requests", "rate_limit_exceeded"), formats=OPENAI)
    yield whole(
        "429 `rate_limit_error`, `ramp_limit_exceeded`", 429, anthropic("rate_limit_error", "no", "ramp_limit_exceeded")
    )
    yield whole("429 with words of its own, or none", 429, b"slow down")
    for code in ("insufficient_quota", "credit_balance_exhausted", "project_spend_limit_exceeded"):
        yield whole(f"429 `{code}`", 429, openai("insufficient_quota", code), formats=OPENAI)
    yield whole(
        "429 `enforced_spend_limit_reached`",
        429,
        anthropic("rate_limit_error", "no", "enforced_spend_limit_reached"),
        formats=(MESSAGES,),
    )
    yield whole(
        "429 with `x-should-retry: false`", 429, anthropic("rate_limit_error"), headers={"x-should-retry": "false"}
    )
    yield whole(
        "429 of a request larger than the whole limit",
        429,
        openai(
            "tokens",
            "rate_limit_exceeded",
            "Request too large for gpt-4o on tokens per min (TPM): Limit 10, Requested 20.",
        ),
        formats=OPENAI,
    )
    yield whole(
        "400 of Anthropic's spend limit",
        400,
        anthropic("invalid_request_error", "You have reached your specified API usage limits."),
        formats=(MESSAGES,),
    )
    yield whole("400 `context_length_exceeded`", 400, openai("invalid_request_error", "context_length_exceeded"))
    yield whole("400, 405, 422 and other 4xx", 422, openai("invalid_request_error", None))
    yield whole("401, 403", 401, anthropic("authentication_error"))
    yield whole("402", 402, anthropic("billing_error"))
    yield whole("404", 404, openai("invalid_request_error", "model_not_found"))
    yield whole("408", 408, b"")
    yield whole("409, 425", 409, b"")
    yield whole("413", 413, anthropic("request_too_large"))
    yield whole("3xx", 302, b"")


def failures() -> Iterator[Case]:
    yield whole("500, 502, 503, 520 and other 5xx, also as HTML", 500, b"<html>", headers={"content-type": "text/html"})
    yield whole("504, 522, 524", 504, anthropic("timeout_error"))
    yield whole("529", 529, anthropic("overloaded_error"))
    yield whole("5xx with `x-should-retry: false`", 503, b"", headers={"x-should-retry": "false"})
    yield whole("501", 501, b"")
    yield raised("no connection", httpx2.ConnectError(""), httpx2.ProxyError(""))
    yield Case("no connection in time", [verdict_of_error(httpx2.ConnectTimeout(""))])
    yield raised(
        "no answer in time, no first token, no next token",
        httpx2.ReadTimeout(""),
        httpx2.WriteTimeout(""),
        TimeoutError(),
    )
    yield raised("no free connection of ours", httpx2.PoolTimeout(""))
    yield raised(
        "broken off while it came", httpx2.ReadError(""), httpx2.RemoteProtocolError(""), httpx2.WriteError("")
    )
    yield raised("an encoding that cannot be undone", httpx2.DecodingError(""))
    yield raised("too many redirects", httpx2.TooManyRedirects(""))
    yield raised(
        "an address or a request that cannot be sent", httpx2.UnsupportedProtocol(""), httpx2.LocalProtocolError("")
    )


def streams() -> Iterator[Case]:
    yield streamed(
        "the first event that says something",
        (CHAT, data({"choices": [{"delta": {"content": "Hi"}}]})),
        (RESPONSES, named({"type": "response.output_text.delta", "delta": "Hi"})),
        (MESSAGES, named({"type": "content_block_delta", "delta": {"text": "Hi"}})),
    )
    yield streamed("data that is no JSON", *[(api, b'data: {"id": "bro\n\n') for api in STREAMED])
    yield streamed(
        "an event with an error of the provider's",
        (CHAT, data(openai("server_error", None))),
        (RESPONSES, named({"type": "error", "code": "server_error", "message": "no"})),
        (RESPONSES, named({"type": "response.failed", "response": {"error": {"code": "server_error"}}})),
        (MESSAGES, named(anthropic("api_error"))),
    )
    yield streamed("`overloaded_error`", (MESSAGES, named(anthropic("overloaded_error"))))
    yield streamed(
        "an event with a rate limit",
        (CHAT, data(openai("requests", "rate_limit_exceeded"))),
        (RESPONSES, named({"type": "error", "code": "rate_limit_exceeded", "message": "no"})),
        (MESSAGES, named(anthropic("rate_limit_error"))),
    )
    yield streamed(
        "an event with an error about the request",
        (RESPONSES, named({"type": "error", "code": "invalid_prompt", "message": "no"})),
        (MESSAGES, named(anthropic("invalid_request_error"))),
    )
    yield Case("an end without the last event", [verdicts.BROKEN_OFF])
    yield Case(f"more than {LONGEST_ANSWER_BYTES >> 20} MiB", [verdicts.TOO_LONG])


def silent_events() -> Iterator[tuple[Format, Event]]:
    """Events that say nothing yet: after them the next target may still be tried."""
    for api, raw in (
        (CHAT, b": OPENROUTER PROCESSING\n\n"),
        (CHAT, data({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})),
        (CHAT, data({"choices": [], "prompt_filter_results": []})),
        (RESPONSES, named({"type": "response.created", "response": {"error": None}})),
        (RESPONSES, named({"type": "response.output_item.added", "item": {}})),
        (MESSAGES, named({"type": "message_start", "message": {"usage": {"input_tokens": 5}}})),
        (MESSAGES, named({"type": "content_block_start", "content_block": {"type": "text", "text": ""}})),
        (MESSAGES, named({"type": "ping"})),
    ):
        yield api, event_of(raw)


HEAD = f"""\
# What a provider's answer means

Every answer, and every way in which there is none, is one of four things:

- **ok**: it is handed on;
- **retry**: asking once more may help, here (within `max_attempts` and the retry budget) or at the next target;
- **limit**: too fast for this credential: the shared limit is corrected, and the call waits its turn again;
- **final**: asking again in the same way is in vain: what came is handed on.

*Breaker* says what the provider's breaker is told; `-` is nothing. *Next target* says whether another one may answer. This page is
written by `python -m tests.llm.provider_answers` from the cases that the tests check, for chat completions, Responses,
Anthropic's messages and embeddings alike wherever no format is named.

A wish to wait (`retry-after-ms`, `retry-after` in seconds or as a date, or "try again in 1m30s" in the message of an error) is kept
up to {LONGEST_SECONDS:.0f} s; what cannot be read is as if it were not there. `x-should-retry` of a provider is obeyed as its own SDK obeys it.
"""
TABLE = "\n| answer | verdict | reason | breaker | next target |\n|---|---|---|---|---|\n"
TAIL = """
Before the first event that says something (a token, a part of a tool call, the end), the next target can be tried without anybody
having seen a thing: an opening event, a role without content, a ping or a comment does not count. After it, what is **retry** or
**limit** above is a broken stream, and so is an end before the last event, which an SDK would take for the end of the answer. Such a
stream is not recorded, and counts as failed for the breaker; `models.NAME.on_broken_stream` says whether it begins anew at the next
target, or its reader is told.

No answer is waited for without a bound: a body may have 64 MiB, an event of a stream 16 MiB, a stream 256 MiB; the timeouts of the
provider hold for the whole, not for each piece of it, so a trickle is late as well.
"""
SECTIONS = {
    "Status 2xx": answers,
    "Refusals": refusals,
    "Failures": failures,
    "Within a stream": streams,
}


def page() -> str:
    """The whole page."""
    sections = [f"\n## {title}\n{TABLE}{''.join(case.row for case in cases())}" for title, cases in SECTIONS.items()]
    return HEAD + "".join(sections) + TAIL


if __name__ == "__main__":
    PAGE.write_text(page())
