"""OpenAI chat completions, which many providers speak."""

from typing import Any

from dayshift.domain.effect import CallUsage
from dayshift.llm.formats.errors import complaint_in, openai_error
from dayshift.llm.formats.format import Body, Format, amount, counted, number, object_at, object_in, word
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


def text_in(event: Event) -> str:
    """What the model says with it, to whoever reads along: of several choices, the first."""
    choices = object_in(event.data).get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    delta = object_at(first, "delta") if isinstance(first, dict) and not first.get("index") else None
    return (delta and word(delta, "content")) or ""


def answer_in(body: Body) -> Body:
    """An answer or a part of a stream. Groq tells the usage of a stream in a corner of its own."""
    aside = object_at(body, "x_groq")
    if body.get("usage") is None and aside is not None and aside.get("usage") is not None:
        return {**body, "usage": aside["usage"]}
    return body


def usage_from(said: Body) -> CallUsage:
    """Cached tokens have three names: OpenAI's, DeepSeek's and Mistral's. OpenRouter tells what the call cost."""
    prompt, completion = number(said, "prompt_tokens"), number(said, "completion_tokens")
    reasoning = number(said, "completion_tokens_details", "reasoning_tokens")
    if reasoning and number(said, "total_tokens") == prompt + completion + reasoning:
        completion += reasoning  # xAI counts them beside the others
    return CallUsage(
        input_tokens=prompt,
        output_tokens=completion,
        cached_tokens=number(said, "prompt_tokens_details", "cached_tokens")
        or number(said, "prompt_cache_hit_tokens")
        or number(said, "num_cached_tokens"),
        cache_write_tokens=number(said, "prompt_tokens_details", "cache_write_tokens"),
        reasoning_tokens=reasoning,
        others=counted(
            input_audio_tokens=number(said, "prompt_tokens_details", "audio_tokens"),
            output_audio_tokens=number(said, "completion_tokens_details", "audio_tokens"),
        ),
        told_usd=None if said.get("is_byok") else amount(said, "cost"),
    )


def is_answer(body: Body) -> bool:
    return isinstance(body.get("choices"), list)


CHAT = Format(
    name="chat",
    provider="openai",
    path="/chat/completions",
    ignored=IGNORED,
    headers=("openai-beta",),
    messages_in="messages",
    is_last=is_last,
    is_preamble=is_preamble,
    text_in=text_in,
    answer_in=answer_in,
    usage_from=usage_from,
    is_answer=is_answer,
    complaint_in=complaint_in,
    error_body=openai_error,
)
