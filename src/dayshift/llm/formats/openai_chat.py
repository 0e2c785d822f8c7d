"""OpenAI chat completions, which many providers speak."""

from dayshift.domain.task import Usage
from dayshift.llm.formats.format import Body, Format, number
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


CHAT = Format(
    name="chat",
    path="/chat/completions",
    ignored=IGNORED,
    headers=("openai-beta",),
    messages_in="messages",
    is_last=is_last,
    usage_in=usage_in,
)
