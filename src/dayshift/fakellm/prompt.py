"""What a call asks, read out of any provider's body."""

from collections.abc import Iterable
from typing import Any

import msgspec

from dayshift.fakellm.tokens import count_tokens

Json = dict[str, Any]


class CallError(Exception):
    """The body is no call that the provider would take; the message is the provider's, `param` names the field."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class Prompt(msgspec.Struct):
    """A call, without the dialect it came in. `turn` is the number of its answer in the conversation, from 1. `has_output`: tokens are
    generated for it.
    """

    model: str
    texts: list[str]
    last_message: str
    tools: list[Any]
    stream: bool
    max_tokens: int | None
    body: Json
    turn: int = 1
    counted_tokens: int = 0
    has_output: bool = True

    @property
    def whole_text(self) -> str:
        """Every text of the prompt, one under the other: instructions, history, tool results, the last message."""
        return "\n".join(self.texts)

    def count_tokens(self) -> int:
        """What the prompt costs, by the rule in `tokens.py`."""
        if not self.counted_tokens:  # asked for by the limits and by the usage
            characters = sum(map(len, self.texts))
            if self.tools:
                characters += len(msgspec.json.encode(self.tools))
            self.counted_tokens = count_tokens(characters)
        return self.counted_tokens


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts of any of the three dialects."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(text for part in content if (text := text_of(part)))
    if isinstance(content, dict):
        for key in ("text", "content", "output", "arguments"):
            if content.get(key):
                return text_of(content[key])
    return ""


def last_user_message(messages: Iterable[Any]) -> str:
    """The text of the last message of a person; of the last message at all, when no person spoke."""
    last = ""
    for message in messages:
        if isinstance(message, dict) and message.get("role") == "user":
            last = text_of(message)
    return last or text_of(next(reversed(list(messages)), ""))


def turn_of(messages: Iterable[Any]) -> int:
    """Which answer of the conversation is asked for. What the model said without a word in between is one answer."""
    answers, was_model = 0, False
    for message in messages:
        is_model = _is_of_the_model(message)
        answers += is_model and not was_model
        was_model = is_model
    return answers + 1


def _is_of_the_model(message: Any) -> bool:
    """Of a message, or of an item of the Responses dialect, where calls of tools and thoughts have no role."""
    if not isinstance(message, dict):
        return False
    kind = message.get("type")
    return message.get("role") == "assistant" or kind == "reasoning" or str(kind).endswith("_call")


def required_text(body: Json, name: str, message: str) -> str:
    """A field that must be a non-empty string."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise CallError(message, param=name)
    return value


def required_messages(body: Json, message: str) -> list[Any]:
    """The `messages` of chat and of Anthropic: a list that is not empty."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise CallError(message, param="messages")
    return messages


def positive_int(body: Json, *names: str) -> int | None:
    """The first of these fields that is there; it must be a positive whole number."""
    for name in names:
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise CallError(f"Invalid '{name}': expected a positive integer.", param=name)
        return value
    return None


def tools_of(body: Json) -> list[Any]:
    """The tools that the call offers."""
    tools = body.get("tools")
    return tools if isinstance(tools, list) else []
