"""OpenAI chat completions, which many providers speak."""

from typing import Any

from dayshift.domain.task import Usage
from dayshift.llm.formats.errors import complaint_in, openai_error
from dayshift.llm.formats.format import Body, Format, number, object_in
from dayshift.llm.formats.sse import Event

# What is kept with a call, billed by it, or how its answer travels: none of it changes what is asked for.
IGNORED = frozenset(
    {
        "metadata",
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "service_tier",
        "stream_options",
    }
)


def is_last(event: Event) -> bool:
    return event.data.strip() == b"[DONE]"


def is_preamble(event: Event) -> bool:
    """A chunk that only names the role, or carries no choice."""
    choices = object_in(event.data).get("choices")
    return isinstance(choices, list) and not any(_says_something(choice) for choice in choices)


def _says_something(choice: Any) -> bool:
    if not isinstance(choice, dict) or not isinstance(choice.get("delta"), dict):
        return True
    return bool(choice.get("finish_reason")) or any(value for name, value in choice["delta"].items() if name != "role")


def usage_in(body: Body) -> Usage | None:
    said = body.get("usage")
    if not isinstance(said, dict):
        return None
    return Usage(
        llm_calls=1,
        input_tokens=number(said, "prompt_tokens"),
        output_tokens=number(said, "completion_tokens"),
        cached_tokens=number(said, "prompt_tokens_details", "cached_tokens"),
    )


def is_answer(body: Body) -> bool:
    return isinstance(body.get("choices"), list)


CHAT = Format(
    name="chat",
    path="/chat/completions",
    ignored=IGNORED,
    headers=("openai-beta",),
    messages_in="messages",
    is_last=is_last,
    is_preamble=is_preamble,
    usage_in=usage_in,
    is_answer=is_answer,
    complaint_in=complaint_in,
    error_body=openai_error,
)
