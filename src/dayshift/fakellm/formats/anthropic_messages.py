"""Anthropic messages: `POST /v1/messages`."""

from typing import Any

import msgspec

from dayshift.fakellm import idents
from dayshift.fakellm.answer import Answer, ToolCall
from dayshift.fakellm.formats.format import Format, Frames, event_frame
from dayshift.fakellm.prompt import (
    CallError,
    Prompt,
    last_user_message,
    positive_int,
    required_messages,
    required_text,
    text_of,
    tools_of,
    turn_of,
)
from dayshift.fakellm.tokens import cut_into_tokens

Json = dict[str, Any]

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def read(body: Json) -> Prompt:
    """The call out of its body; `max_tokens` is required here."""
    messages = required_messages(body, "messages: Field required")
    max_tokens = positive_int(body, "max_tokens")
    if max_tokens is None:
        raise CallError("max_tokens: Field required", param="max_tokens")
    return Prompt(
        model=required_text(body, "model", "model: Field required"),
        texts=[text_of(body.get("system")), *(text_of(message) for message in messages)],
        last_message=last_user_message(messages),
        tools=tools_of(body),
        stream=body.get("stream") is True,
        max_tokens=max_tokens,
        body=body,
        turn=turn_of(messages),
    )


def whole(answer: Answer, _prompt: Prompt) -> Json:
    """The answer in one piece."""
    content: list[Json] = []
    if answer.text or not answer.tool_calls:
        content.append({"type": "text", "text": answer.text})
    content += [{**_tool_use(call), "input": _input_of(call)} for call in answer.tool_calls]
    return {
        **_message(answer),
        "content": content,
        "stop_reason": STOP_REASONS[answer.ending],
        "usage": {**_usage_at_start(answer), "output_tokens": answer.output_tokens},
    }


def frames(answer: Answer, _prompt: Prompt) -> Frames:
    """message_start, then each block from start over its deltas to stop (a ping after the first start), the end."""
    opening = event_frame({"type": "message_start", "message": _message(answer)})
    tokens: list[bytes] = []
    blocks: list[tuple[Json, list[Json]]] = []
    if answer.text or not answer.tool_calls:
        deltas = [{"type": "text_delta", "text": piece} for piece in answer.pieces]
        blocks.append(({"type": "text", "text": ""}, deltas))
    for call in answer.tool_calls:
        pieces = ["", *cut_into_tokens(call.arguments_json)]
        blocks.append((_tool_use(call), [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]))
    for at, (block, deltas) in enumerate(blocks):
        start = event_frame({"type": "content_block_start", "index": at, "content_block": block})
        tokens.append(start if at else start + event_frame({"type": "ping"}))
        tokens += [event_frame({"type": "content_block_delta", "index": at, "delta": delta}) for delta in deltas]
        tokens.append(event_frame({"type": "content_block_stop", "index": at}))
    delta = {"stop_reason": STOP_REASONS[answer.ending], "stop_sequence": None}
    usage = {
        "input_tokens": answer.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": answer.output_tokens,
    }
    closing = event_frame({"type": "message_delta", "delta": delta, "usage": usage})
    return Frames(opening, tokens, closing + event_frame({"type": "message_stop"}))


def error(status: int, message: str, _param: str | None, request_id: str) -> Json:
    """`{"type": "error", "error": {type, message}, "request_id"}`."""
    kind = ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}


def _message(answer: Answer) -> Json:
    """A message that has begun."""
    return {
        "model": answer.model,
        "id": idents.anthropic_message_id(),
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage_at_start(answer),
    }


def _usage_at_start(answer: Answer) -> Json:
    return {
        "input_tokens": answer.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": min(1, answer.output_tokens),
        "service_tier": "standard",
    }


def _tool_use(call: ToolCall) -> Json:
    return {"type": "tool_use", "id": idents.anthropic_tool_use_id(), "name": call.name, "input": {}}


def _input_of(call: ToolCall) -> Any:
    """Anthropic sends arguments as an object; a scripted text that is none is sent as it is, to test that too."""
    try:
        return msgspec.json.decode(call.arguments_json)
    except msgspec.DecodeError:
        return call.arguments


ANTHROPIC_MESSAGES = Format(
    read=read, whole=whole, frames=frames, error=error, request_id_header="request-id", family="anthropic"
)
