"""Anthropic messages. Which tokens were read from a cache is counted beside the others, and belongs to the input."""

from dayshift.domain.task import Usage
from dayshift.llm.formats.errors import anthropic_error, complaint_in
from dayshift.llm.formats.format import Body, Format, number
from dayshift.llm.formats.sse import Event


def is_last(event: Event) -> bool:
    return event.name == "message_stop"


def is_preamble(event: Event) -> bool:
    """A block that opens is not yet a token: the provider may still fail while it thinks of the first."""
    return event.name in {"message_start", "content_block_start", "ping"}


def usage_in(body: Body) -> Usage | None:
    """Of an answer; or of `message_start`, which carries the input, and of `message_delta`, which carries the output."""
    carried = body.get("message")
    said = (carried if isinstance(carried, dict) else body).get("usage")
    if not isinstance(said, dict):
        return None
    cached = number(said, "cache_read_input_tokens")
    return Usage(
        llm_calls=1,
        input_tokens=number(said, "input_tokens") + number(said, "cache_creation_input_tokens") + cached,
        output_tokens=number(said, "output_tokens"),
        cached_tokens=cached,
    )


MESSAGES = Format(
    name="messages",
    path="/v1/messages",
    ignored=frozenset({"metadata", "service_tier"}),
    headers=("anthropic-beta",),
    messages_in="messages",
    is_last=is_last,
    is_preamble=is_preamble,
    usage_in=usage_in,
    is_answer=lambda body: isinstance(body.get("content"), list),
    complaint_in=complaint_in,
    error_body=anthropic_error,
)
