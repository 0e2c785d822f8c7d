"""OpenAI chat completions: `POST /v1/chat/completions`."""

from typing import Any

from dayshift.fakellm import idents
from dayshift.fakellm.answer import Answer
from dayshift.fakellm.formats.format import Format, Frames, data_frame
from dayshift.fakellm.formats.openai_errors import openai_error
from dayshift.fakellm.prompt import (
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

FINGERPRINT = "fp_fakellm000"


def read(body: dict[str, Any]) -> Prompt:
    """The call out of its body."""
    messages = required_messages(body, "Missing required parameter: 'messages'.")
    return Prompt(
        model=required_text(body, "model", "you must provide a model parameter"),
        texts=[text_of(message) for message in messages],
        last_message=last_user_message(messages),
        tools=tools_of(body),
        stream=body.get("stream") is True,
        max_tokens=positive_int(body, "max_completion_tokens", "max_tokens"),
        body=body,
        turn=turn_of(messages),
    )


def whole(answer: Answer, _prompt: Prompt) -> dict[str, Any]:
    """The answer in one piece."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text if answer.text or not answer.tool_calls else None,
        "refusal": None,
        "annotations": [],
    }
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": idents.tool_call_id(),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments_json},
            }
            for call in answer.tool_calls
        ]
    return {
        "id": idents.chat_completion_id(),
        "object": "chat.completion",
        "created": idents.unix_seconds(),
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answer.ending}],
        "usage": usage(answer),
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def frames(answer: Answer, prompt: Prompt) -> Frames:
    """Role chunk, content and tool call chunks, finish chunk, the usage when it was asked for, `[DONE]`."""
    options = prompt.body.get("stream_options")
    with_usage = isinstance(options, dict) and options.get("include_usage") is True
    envelope: dict[str, Any] = {
        "id": idents.chat_completion_id(),
        "object": "chat.completion.chunk",
        "created": idents.unix_seconds(),
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }
    no_usage_yet = {"usage": None} if with_usage else {}

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return data_frame({**envelope, "choices": [choice], **no_usage_yet})

    content = None if answer.tool_calls and not answer.text else ""
    tokens = [chunk({"content": piece}) for piece in answer.pieces]
    for at, call in enumerate(answer.tool_calls):
        head = {"index": at, "id": idents.tool_call_id(), "type": "function"}
        tokens.append(chunk({"tool_calls": [{**head, "function": {"name": call.name, "arguments": ""}}]}))
        tokens += [
            chunk({"tool_calls": [{"index": at, "function": {"arguments": piece}}]})
            for piece in cut_into_tokens(call.arguments_json)
        ]
    closing = chunk({}, answer.ending)
    if with_usage:
        closing += data_frame({**envelope, "choices": [], "usage": usage(answer)})
    return Frames(
        opening=chunk({"role": "assistant", "content": content, "refusal": None}),
        tokens=tokens,
        closing=closing + b"data: [DONE]\n\n",
    )


def usage(answer: Answer) -> dict[str, Any]:
    """The usage in chat's words."""
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.prompt_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


OPENAI_CHAT = Format(
    read=read, whole=whole, frames=frames, error=openai_error, request_id_header="x-request-id", names_events=False
)
