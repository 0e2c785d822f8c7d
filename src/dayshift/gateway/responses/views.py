"""From a task to a response, and to the items of its input."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from dayshift.domain.task import Status, Task, TaskError
from dayshift.gateway.responses.names import input_id, output_id, response_id
from dayshift.gateway.responses.shapes import (
    KEPT,
    CachedTokens,
    ConversationView,
    Kept,
    OutputMessage,
    OutputText,
    ResponseError,
    ResponseStatus,
    ResponseUsage,
    ResponseView,
)

SHOWN_AGAIN = ResponseView.__struct_fields__[ResponseView.__struct_fields__.index("instructions") :]

_STATUS: dict[Status, ResponseStatus] = {
    Status.QUEUED: "queued",
    Status.RUNNING: "in_progress",
    Status.WAITING: "in_progress",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}
# The clients' types know no other codes than OpenAI's; ours stands before the message.
_ERROR_CODE = {"budget_spent": "rate_limit_exceeded", "invalid_input": "invalid_prompt"}


def kept_of(task: Task) -> Kept:
    """What the request said. A task that came through another door, or with metadata of somebody's own making, kept nothing."""
    try:
        return msgspec.json.decode(task.metadata, type=_Metadata).kept
    except msgspec.ValidationError:
        return Kept()


def view_of(task: Task, *, status: ResponseStatus | None = None) -> ResponseView:
    """The response that a task is; with `status`, as it was then: nothing was said yet, and nothing is counted."""
    kept = kept_of(task)
    is_now = status is None
    return ResponseView(
        id=response_id(task.id),
        created_at=_seconds(task.created_at),
        status=status or _STATUS[task.status],
        background=kept.background,
        completed_at=_seconds(task.finished_at) if is_now and task.finished_at is not None else None,
        error=_error(task.error) if is_now and task.status is Status.FAILED else None,
        model=task.agent,
        output=[message_of(task)] if is_now and task.status is Status.SUCCEEDED else [],
        usage=_usage(task) if is_now and task.is_final else None,
        metadata=_metadata(task),
        conversation=None if kept.conversation is None else ConversationView(id=kept.conversation),
        previous_response_id=kept.previous_response_id,
        store=kept.store,
        **{name: kept.said[name] for name in SHOWN_AGAIN if name in kept.said},
    )


def message_of(task: Task, index: int = 0, phase: str | UnsetType = UNSET) -> OutputMessage:
    """The answer of a task that succeeded."""
    return OutputMessage(
        id=output_id(task.id, index), status="completed", content=[OutputText(text=text_output(task))], phase=phase
    )


def text_output(task: Task) -> str:
    """Text as it is, nothing for null, and anything else as JSON."""
    output = msgspec.json.decode(task.output)
    if isinstance(output, str):
        return output
    return "" if output is None else bytes(task.output).decode()


def said_by(task: Task) -> str | list[dict[str, Any]]:
    """The input as the request had it."""
    kept = kept_of(task)
    if kept.input is not None:
        return kept.input
    values: Any = msgspec.json.decode(task.input)
    if not isinstance(values, dict):
        return bytes(task.input).decode()
    named = kept.input_in if kept.input_in in values else next(iter(values), None) if len(values) == 1 else None
    value = values.get(named)
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
        return value
    return bytes(task.input).decode() if values else ""


def input_items(task: Task) -> list[dict[str, Any]]:
    """What the request said, an item each, in its order, with ids."""
    said = said_by(task)
    items = [{"role": "user", "content": said}] if isinstance(said, str) else said
    return [{"id": input_id(task.id, index), **_item(item)} for index, item in enumerate(items) if item]


def _item(item: dict[str, Any]) -> dict[str, Any]:
    """A message in its long form; other items are left as they are."""
    if "role" not in item or item.get("type", "message") != "message":
        return item
    content = item.get("content")
    part = {"type": "output_text", "annotations": []} if item["role"] == "assistant" else {"type": "input_text"}
    long = [{**part, "text": content}] if isinstance(content, str) else content
    return {"type": "message", "status": "completed", **item, "content": long}


class _Metadata(msgspec.Struct):
    kept: Kept = msgspec.field(default=Kept(), name=KEPT)


def _metadata(task: Task) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(task.metadata)
    said.pop(KEPT, None)
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in said.items()
    }


def _error(error: TaskError | None) -> ResponseError:
    if error is None:
        return ResponseError(code="server_error", message="failed")
    return ResponseError(code=_ERROR_CODE.get(error.code, "server_error"), message=f"{error.code}: {error.message}")


def _usage(task: Task) -> ResponseUsage:
    usage = task.usage
    return ResponseUsage(
        input_tokens=usage.input_tokens,
        input_tokens_details=CachedTokens(cached_tokens=usage.cached_tokens),
        output_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
    )


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
