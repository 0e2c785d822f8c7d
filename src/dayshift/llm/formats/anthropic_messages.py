"""Anthropic messages. Which tokens were read from a cache is counted beside the others, and belongs to the input."""

from dayshift.domain.effect import CallUsage
from dayshift.llm.formats.errors import anthropic_error, complaint_in
from dayshift.llm.formats.format import Body, Format, counted, number, object_at, object_in, word
from dayshift.llm.formats.sse import Event


def is_last(event: Event) -> bool:
    return event.name == "message_stop"


def is_preamble(event: Event) -> bool:
    """A block that opens is not yet a token: the provider may still fail while it thinks of the first."""
    return event.name in {"message_start", "content_block_start", "ping"}


def text_in(event: Event) -> str:
    """What the model says with it, to whoever reads along; not what it thinks, and not what it tells its tools."""
    delta = object_at(object_in(event.data), "delta") if event.name == "content_block_delta" else None
    return (delta and word(delta, "text")) or ""


def answer_in(body: Body) -> Body:
    """An answer; or `message_start`, which carries the input, or `message_delta`, which carries the output."""
    return object_at(body, "message") or body


def usage_from(said: Body) -> CallUsage:
    cached, written = number(said, "cache_read_input_tokens"), number(said, "cache_creation_input_tokens")
    return CallUsage(
        input_tokens=number(said, "input_tokens") + written + cached,
        output_tokens=number(said, "output_tokens"),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=number(said, "output_tokens_details", "thinking_tokens"),
        others=counted(
            cache_write_1h_tokens=number(said, "cache_creation", "ephemeral_1h_input_tokens"),
            web_searches=number(said, "server_tool_use", "web_search_requests"),
        ),
        service_tier=word(said, "service_tier"),
    )


MESSAGES = Format(
    name="messages",
    provider="anthropic",
    path="/v1/messages",
    ignored=frozenset({"metadata", "service_tier"}),
    headers=("anthropic-beta",),
    messages_in="messages",
    is_last=is_last,
    is_preamble=is_preamble,
    text_in=text_in,
    answer_in=answer_in,
    usage_from=usage_from,
    is_answer=lambda body: isinstance(body.get("content"), list),
    complaint_in=complaint_in,
    error_body=anthropic_error,
)
