"""OpenAI Responses. A stream ends with one of three events; a `response.failed` has been paid for as well."""

from dayshift.domain.effect import CallUsage
from dayshift.llm.formats import errors
from dayshift.llm.formats.errors import Complaint, openai_error
from dayshift.llm.formats.format import Body, Format, amount, number, object_at, object_in, word
from dayshift.llm.formats.openai_chat import IGNORED
from dayshift.llm.formats.sse import Event

LAST = frozenset({"response.completed", "response.failed", "response.incomplete"})


# An item or a part that opens is not yet a token: the provider may still fail while it thinks of the first.
PREAMBLE = frozenset(
    {
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    }
)


def is_last(event: Event) -> bool:
    return event.name in LAST


def is_preamble(event: Event) -> bool:
    return event.name in PREAMBLE


def text_in(event: Event) -> str:
    """What the model says with it, to whoever reads along."""
    return (event.name == "response.output_text.delta" and word(object_in(event.data), "delta")) or ""


def answer_in(body: Body) -> Body:
    """An answer, or the one that an event carries."""
    return object_at(body, "response") or body


def usage_from(said: Body) -> CallUsage:
    return CallUsage(
        input_tokens=number(said, "input_tokens"),
        output_tokens=number(said, "output_tokens"),
        cached_tokens=number(said, "input_tokens_details", "cached_tokens"),
        cache_write_tokens=number(said, "input_tokens_details", "cache_write_tokens"),
        reasoning_tokens=number(said, "output_tokens_details", "reasoning_tokens"),
        told_usd=amount(said, "cost"),
    )


def is_answer(body: Body) -> bool:
    return isinstance(body.get("output"), list)


def complaint_in(body: Body) -> Complaint | None:
    """Of an answer that failed, of the event that carries one, or of the event `error`."""
    carried = body.get("response")
    return errors.complaint_in(carried if isinstance(carried, dict) else body)


RESPONSES = Format(
    name="responses",
    provider="openai",
    path="/responses",
    ignored=IGNORED,
    headers=("openai-beta",),
    messages_in="input",
    is_last=is_last,
    is_preamble=is_preamble,
    text_in=text_in,
    answer_in=answer_in,
    usage_from=usage_from,
    is_answer=is_answer,
    complaint_in=complaint_in,
    error_body=openai_error,
)
