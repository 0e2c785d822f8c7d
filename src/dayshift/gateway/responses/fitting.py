"""From what a client of OpenAI's API says to what an agent's parameters take, by the agent's input schema.

- Its parameter `input`, or else the first that is not named like a parameter of the API, is given the input: text where it
  takes text, items where it takes a list. Where it takes neither, the text must be JSON.
- Every other parameter is given what the request says under its name.
"""

from functools import lru_cache
from typing import Any

import msgspec

from dayshift.domain.errors import FieldError
from dayshift.gateway.paths import invalid

# What the API itself has a meaning for: no such parameter of an agent is taken for the one that the input is for. Not here: `text` and
# `prompt`, which are settings there, and what agents call their input.
PARAMETERS = frozenset({
    "background", "context_management", "conversation", "include", "instructions", "max_output_tokens",
    "max_tool_calls", "metadata", "model", "moderation", "parallel_tool_calls", "previous_response_id",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier",
    "service_tier", "store", "stream", "stream_options", "temperature", "tool_choice", "tools",
    "top_logprobs", "top_p", "truncation", "user",
})  # fmt: skip

_ANYTHING = frozenset({"string", "array", "object", "number", "integer", "boolean", "null"})


def fitted(schema: bytes, body: dict[str, Any]) -> dict[str, Any]:
    """The agent's input, by name. Raises `InvalidInput`; the schema itself is not yet asked."""
    agent = _parsed(schema)
    properties: dict[str, Any] = agent.get("properties", {})
    for_input = next((name for name in ("input", *properties) if name in properties and name not in PARAMETERS), None)
    given = {name: body[name] for name in properties if name != for_input and body.get(name) is not None}
    said = body.get("input")
    if for_input is None or (said is None and for_input not in agent.get("required", ())):
        return given
    takes = _types(properties[for_input], agent)
    if takes & {"string", "array"}:
        return {**given, for_input: _text_or_items("" if said is None else said, takes)}
    value = _json_in(text_of(said) if said is not None else "")
    by_name = isinstance(value, dict) and value.keys() <= properties.keys()
    return {**given, **(value if by_name else {for_input: value})}


def text_of(said: str | list[dict[str, Any]]) -> str:
    """What is said last: the text itself, or that of the messages since the assistant's last one."""
    if isinstance(said, str):
        return said
    texts: list[str] = []
    for item in said:
        if item.get("role") == "assistant":
            texts.clear()
        elif "role" in item:
            texts += _texts(item.get("content"))
    return "\n\n".join(texts)


def _text_or_items(said: str | list[dict[str, Any]], takes: frozenset[str]) -> Any:
    if isinstance(said, str):
        if "string" in takes:
            return said
        return [{"type": "message", "role": "user", "content": said}] if said else []
    if "array" in takes:
        return said
    text = text_of(said)
    if not text and said:
        raise invalid(FieldError("input", "holds no text, and this agent takes nothing else"))
    return text


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    return [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _json_in(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise invalid(FieldError("input", "must be JSON as text: this agent takes no plain text")) from None


def _types(schema: Any, whole: dict[str, Any]) -> frozenset[str]:
    """The JSON types that a parameter may be; what says nothing may be anything."""
    if not isinstance(schema, dict):
        return _ANYTHING
    if isinstance(reference := schema.get("$ref"), str):
        target: Any = whole
        for step in reference.removeprefix("#/").split("/"):
            target = target.get(step, {}) if isinstance(target, dict) else {}
        return _types(target, {}) if target is not schema else _ANYTHING
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return frozenset().union(*(_types(one, whole) for one in schema[choice]))
    if "type" in schema:
        kind = schema["type"]
        return frozenset(kind if isinstance(kind, list) else [kind])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return frozenset({"string"}) if any(isinstance(value, str) for value in values) else frozenset({"object"})
    return _ANYTHING


@lru_cache(maxsize=1_000)
def _parsed(schema: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = msgspec.json.decode(schema)
    return parsed
