"""A request as what it asks for: the same for an attempt that asks again at another time, through another client.

Left out is what does not change the question: fields and headers that a format names, the order of names, white space.
Ids that a framework made for tool calls are new in every run, so they are numbered in the order of their appearance;
those that a provider made came with a recorded answer, and stay.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from dayshift.domain.digest import content_digest, part_digest
from dayshift.llm.formats import Format
from dayshift.llm.formats.format import number

_MOST_OUTPUT = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_IDS = frozenset({"tool_call_id", "tool_use_id", "call_id"})
_CALLS = frozenset({"function", "tool_use", "function_call", "custom_tool_call", "server_tool_use"})
_MADE_BY_A_PROVIDER = re.compile(r"(call|toolu|srvtoolu|fc|ctc|chatcmpl-tool)[_-][A-Za-z0-9_-]{6,}")
_encoder = msgspec.json.Encoder(order="sorted")


class Question(Struct, frozen=True, kw_only=True):
    """`digest` is of what makes two the same; `digests`, of its parts, are compared when it is not found. `is_kept_there`: it goes on from
    something that the provider keeps, so nobody else could answer it. `adds_there`: it adds to what the provider keeps, so
    asking twice is not as good as asking once. `is_deterministic`: it asks for the same answer each time.
    """

    name: str
    digest: bytes
    digests: Mapping[str, str]
    streams: bool
    is_kept_there: bool = False
    adds_there: bool = False
    provider: str = ""
    model: str = ""
    max_output_tokens: int | None = None
    is_deterministic: bool = False
    last_message: Any = None

    def asked(self) -> Any:
        """What a preview is made of: the model, and the text of the last message."""
        texts = _texts_of(self.last_message)
        return {"model": self.model, "text": texts[0] if len(texts) == 1 else texts}


class NotAQuestion(ValueError):
    """The body is none that this format has: it passes untouched."""


def question_of(api: Format, headers: Mapping[str, str], body: bytes) -> Question:
    """Read a request. Raises NotAQuestion."""
    try:
        asked = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotAQuestion(f"no JSON: {error}") from None
    if not isinstance(asked, dict):
        raise NotAQuestion("no JSON object")
    fields = {name: value for name, value in asked.items() if name not in api.ignored}
    _Renumbering().walk(fields)
    said = {name: headers[name] for name in api.headers if name in headers}
    parts = _parts_of(api, fields) | {f"header {name}": value.encode() for name, value in said.items()}
    model = asked.get("model")
    return Question(
        name=f"{api.name} {model}" if isinstance(model, str) else api.name,
        digest=content_digest(_encoder.encode([api.name, said, fields])),
        digests={part: part_digest(value) for part, value in parts.items()},
        streams=asked.get("stream") is True,
        is_kept_there=any(asked.get(name) for name in ("previous_response_id", "conversation", "background")),
        adds_there=bool(asked.get("conversation")),
        provider=api.provider,
        model=model if isinstance(model, str) else "",
        is_deterministic=api.is_deterministic or asked.get("temperature") == 0,
        max_output_tokens=next((value for name in _MOST_OUTPUT if (value := number(asked, name))), None),
        last_message=_last(fields.get(api.messages_in or "")),
    )


def _last(messages: Any) -> Any:
    return messages[-1] if isinstance(messages, list) and messages else messages


def _texts_of(message: Any) -> list[str]:
    """Of a message, of its parts, or of what a tool answered; nothing for pictures and the like."""
    if isinstance(message, list):
        return [text for part in message for text in _texts_of(part)]
    if isinstance(message, dict):
        return _texts_of(next((message[name] for name in ("content", "text", "output") if name in message), None))
    return [message] if isinstance(message, str) else []


def _parts_of(api: Format, fields: Mapping[str, Any]) -> dict[str, bytes]:
    parts: dict[str, bytes] = {}
    for name, value in fields.items():
        if name == api.messages_in and isinstance(value, list):
            parts |= {f"{name}[{number}]": _encoder.encode(item) for number, item in enumerate(value)}
        else:
            parts[name] = _encoder.encode(value)
    return parts


class _Renumbering:
    """Replaces, in place, the ids of tool calls that no provider made."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}

    def walk(self, value: Any) -> None:
        if isinstance(value, dict):
            for name in value:
                if isinstance(value[name], str):
                    if name in _IDS or (name == "id" and value.get("type") in _CALLS):
                        value[name] = self._number(value[name])
                else:
                    self.walk(value[name])
        elif isinstance(value, list):
            for item in value:
                self.walk(item)

    def _number(self, identity: str) -> str:
        if _MADE_BY_A_PROVIDER.fullmatch(identity):
            return identity
        return self._numbers.setdefault(identity, f"tool call {len(self._numbers) + 1}")
