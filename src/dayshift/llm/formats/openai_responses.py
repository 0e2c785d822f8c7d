"""OpenAI Responses. A stream ends with one of three events; a `response.failed` has been paid for as well."""

from dayshift.domain.task import Usage
from dayshift.llm.formats.format import Body, Format, number
from dayshift.llm.formats.openai_chat import IGNORED
from dayshift.llm.formats.sse import Event

LAST = frozenset({"response.completed", "response.failed", "response.incomplete"})


PREAMBLE = frozenset({"response.created", "response.queued", "response.in_progress"})


def is_last(event: Event) -> bool:
    return event.name in LAST


def is_preamble(event: Event) -> bool:
    return event.name in PREAMBLE


def usage_in(body: Body) -> Usage | None:
    """Of an answer, or of the event that carries it."""
    carried = body.get("response")
    said = (carried if isinstance(carried, dict) else body).get("usage")
    if not isinstance(said, dict):
        return None
    return Usage(
        llm_calls=1,
        input_tokens=number(said, "input_tokens"),
        output_tokens=number(said, "output_tokens"),
        cached_tokens=number(said, "input_tokens_details", "cached_tokens"),
    )


RESPONSES = Format(
    name="responses",
    path="/responses",
    ignored=IGNORED,
    headers=("openai-beta",),
    messages_in="input",
    is_last=is_last,
    is_preamble=is_preamble,
    usage_in=usage_in,
)
