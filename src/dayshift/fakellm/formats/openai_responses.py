"""OpenAI Responses: `POST /v1/responses`. Nothing is stored: each call stands alone."""

from collections.abc import Iterator
from typing import Any

from dayshift.fakellm import idents
from dayshift.fakellm.answer import Answer
from dayshift.fakellm.formats.format import Format, Frames, event_frame
from dayshift.fakellm.formats.openai_errors import openai_error
from dayshift.fakellm.prompt import (
    CallError,
    Prompt,
    last_user_message,
    positive_int,
    required_text,
    text_of,
    tools_of,
    turn_of,
)
from dayshift.fakellm.tokens import cut_into_tokens

Json = dict[str, Any]


def read(body: Json) -> Prompt:
    """The call out of its body; `input` is a text or a list of items."""
    given = body.get("input")
    if isinstance(given, str) and given:
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise CallError("Missing required parameter: 'input'.", param="input")
    return Prompt(
        model=required_text(body, "model", "Missing required parameter: 'model'."),
        texts=[text_of(body.get("instructions")), *(text_of(item) for item in given)],
        last_message=last_user_message(given),
        tools=tools_of(body),
        stream=body.get("stream") is True,
        max_tokens=positive_int(body, "max_output_tokens"),
        body=body,
        turn=turn_of(given),
    )


def whole(answer: Answer, prompt: Prompt) -> Json:
    """The finished response."""
    started = _started(answer, prompt)
    return _ended(started, answer, [item for item, _ in _output(answer)])


def frames(answer: Answer, prompt: Prompt) -> Frames:
    """created, in_progress, then for each item: added, its deltas and its done; at last completed (or incomplete)."""
    stream = _Numbered()
    started = _started(answer, prompt)
    opening = stream.frame({"type": "response.created", "response": started})
    opening += stream.frame({"type": "response.in_progress", "response": started})
    output = _output(answer)
    tokens: list[bytes] = []
    for at, (item, pieces) in enumerate(output):
        events = _message_events if item["type"] == "message" else _function_call_events
        tokens += [stream.frame(event) for event in events(item, pieces, at)]
    ended = _ended(started, answer, [item for item, _ in output])
    return Frames(opening, tokens, stream.frame({"type": f"response.{ended['status']}", "response": ended}))


class _Numbered:
    """Gives every event of a stream its `sequence_number`."""

    def __init__(self) -> None:
        self._next = 0

    def frame(self, event: Json) -> bytes:
        numbered = {**event, "sequence_number": self._next}
        self._next += 1
        return event_frame(numbered)


def _started(answer: Answer, prompt: Prompt) -> Json:
    """A response in progress: what was asked, echoed, and the defaults of what was not."""
    body = prompt.body
    text = body.get("text") if isinstance(body.get("text"), dict) else {}
    reasoning = body.get("reasoning") if isinstance(body.get("reasoning"), dict) else {}
    return {
        "id": idents.response_id(),
        "object": "response",
        "created_at": idents.unix_seconds(),
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": prompt.max_tokens,
        "max_tool_calls": body.get("max_tool_calls"),
        "model": answer.model,
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "presence_penalty": 0.0,
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "prompt_cache_retention": None,
        "reasoning": {"effort": None, "summary": None, **(reasoning or {})},
        "safety_identifier": body.get("safety_identifier"),
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": {"format": {"type": "text"}, "verbosity": "medium", **(text or {})},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": prompt.tools,
        "top_logprobs": 0,
        "top_p": body.get("top_p", 1.0),
        "truncation": body.get("truncation", "disabled"),
        "usage": None,
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }


def _ended(started: Json, answer: Answer, output: list[Json]) -> Json:
    cut = answer.ending == "length"
    return {
        **started,
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else idents.unix_seconds(),
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": output,
        "usage": {
            "input_tokens": answer.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.prompt_tokens + answer.output_tokens,
        },
    }


def _output(answer: Answer) -> list[tuple[Json, list[str]]]:
    """The finished items, each with the pieces that its deltas carry."""
    items: list[tuple[Json, list[str]]] = []
    if answer.text or not answer.tool_calls:
        message = {
            "id": idents.response_item_id("msg"),
            "type": "message",
            "status": "incomplete" if answer.ending == "length" else "completed",
            "content": [_text_part(answer.text)],
            "role": "assistant",
        }
        items.append((message, answer.pieces))
    for call in answer.tool_calls:
        function_call = {
            "id": idents.response_item_id("fc"),
            "type": "function_call",
            "status": "completed",
            "arguments": call.arguments_json,
            "call_id": idents.tool_call_id(),
            "name": call.name,
        }
        items.append((function_call, cut_into_tokens(call.arguments_json)))
    return items


def _text_part(text: str) -> Json:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _message_events(item: Json, pieces: list[str], at: int) -> Iterator[Json]:
    here = {"content_index": 0, "item_id": item["id"], "output_index": at}
    text = item["content"][0]["text"]
    unfinished = {**item, "status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", "item": unfinished, "output_index": at}
    yield {"type": "response.content_part.added", **here, "part": _text_part("")}
    for piece in pieces:
        yield {"type": "response.output_text.delta", **here, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **here, "logprobs": [], "text": text}
    yield {"type": "response.content_part.done", **here, "part": _text_part(text)}
    yield {"type": "response.output_item.done", "item": item, "output_index": at}


def _function_call_events(item: Json, pieces: list[str], at: int) -> Iterator[Json]:
    here = {"item_id": item["id"], "output_index": at}
    unfinished = {**item, "status": "in_progress", "arguments": ""}
    yield {"type": "response.output_item.added", "item": unfinished, "output_index": at}
    for piece in pieces:
        yield {"type": "response.function_call_arguments.delta", **here, "delta": piece}
    yield {"type": "response.function_call_arguments.done", **here, "arguments": item["arguments"]}
    yield {"type": "response.output_item.done", "item": item, "output_index": at}


OPENAI_RESPONSES = Format(read=read, whole=whole, frames=frames, error=openai_error, request_id_header="x-request-id")
