"""What is answered, before a dialect gives it a form."""

from typing import Any, Literal

import msgspec

from dayshift.fakellm.tokens import CHARACTERS_PER_TOKEN, count_tokens, cut_into_tokens

Ending = Literal["stop", "length", "tool_calls"]


class ToolCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call of a tool that the answer asks for; `arguments` is an object, or a string sent as it is."""

    name: str
    arguments: dict[str, Any] | str = {}

    @property
    def arguments_json(self) -> str:
        """The arguments as the text that a model would have written."""
        if isinstance(self.arguments, str):
            return self.arguments
        return msgspec.json.encode(self.arguments).decode()

    def count_tokens(self) -> int:
        """What the call costs: name and arguments."""
        return count_tokens(len(self.name) + len(self.arguments_json))


class Answer(msgspec.Struct):
    """A finished answer: text, tool calls, what it cost and why it ended."""

    model: str
    text: str
    tool_calls: list[ToolCall]
    prompt_tokens: int
    output_tokens: int
    ending: Ending

    @property
    def pieces(self) -> list[str]:
        """The text, a token a piece."""
        return cut_into_tokens(self.text)


def make_answer(
    *,
    model: str,
    text: str,
    tool_calls: list[ToolCall],
    prompt_tokens: int,
    output_tokens: int | None,
    max_tokens: int | None,
) -> Answer:
    """Cut the text at the call's own limit, and count it.

    `output_tokens` says what the usage reports when it is not what the text amounts to (thinking that is not shown).
    """
    ending: Ending = "tool_calls" if tool_calls else "stop"
    if max_tokens is not None and len(text) > max_tokens * CHARACTERS_PER_TOKEN:
        text, ending, tool_calls = text[: max_tokens * CHARACTERS_PER_TOKEN], "length", []
    counted = count_tokens(len(text)) if text else 0
    counted += sum(call.count_tokens() for call in tool_calls)
    if output_tokens is not None:
        counted = output_tokens if max_tokens is None else min(output_tokens, max_tokens)
    return Answer(model, text, tool_calls, prompt_tokens, counted, ending)
