"""A task as A2A 1.0 shows it, as the JSON that the protocol's messages have (ProtoJSON).

    queued, never started         SUBMITTED
    waits for a signal            INPUT_REQUIRED
    everything else unfinished    WORKING
    succeeded                     COMPLETED
    failed                        FAILED, or REJECTED where the agent's error has the code `rejected`
    cancelled                     CANCELED

A context is a conversation. The output is an artifact: text as a text part, any other value but null as a data part. An
agent that knows of A2A says more by an output that is an object of one of two names alone: `a2a_artifacts`, a list of
artifacts as the protocol has them, or `a2a_message`, whose `parts` are the answer instead of a task.

Both the gateway, which answers clients, and a worker, which tells those that asked to be told, speak by these functions.
"""

import binascii
from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from dayshift.domain.task import Status, Task, TaskError, WaitingFor

Json = dict[str, Any]

MESSAGE: Final = "a2a_message"
ARTIFACTS: Final = "a2a_artifacts"
OUTPUT: Final = "output"
REJECTED_CODE: Final = "rejected"
SIGNAL: Final = "signal"

COMPLETED, WORKING, SUBMITTED, INPUT_REQUIRED = "COMPLETED", "WORKING", "SUBMITTED", "INPUT_REQUIRED"
FAILED, REJECTED, CANCELED = "FAILED", "REJECTED", "CANCELED"
TERMINAL: Final = frozenset({COMPLETED, FAILED, REJECTED, CANCELED})

_TEXTS = ("text", "url")


def state_of(task: Task) -> str:
    """The state that A2A knows it by. The ledger says the same in `a2a_state`."""
    match task.status:
        case Status.QUEUED:
            return WORKING if task.attempt else SUBMITTED
        case Status.WAITING:
            return state_of_wait(task.waiting_for)
        case Status.SUCCEEDED:
            return COMPLETED
        case Status.FAILED:
            return REJECTED if task.error is not None and task.error.code == REJECTED_CODE else FAILED
        case Status.CANCELLED:
            return CANCELED
        case Status.RUNNING:
            return WORKING


def state_of_wait(waiting_for: WaitingFor | None) -> str:
    """Whether a task that waits does so for its client."""
    return INPUT_REQUIRED if waiting_for is not None and waiting_for.type == SIGNAL else WORKING


def became_at(task: Task) -> datetime:
    """When it became what it is. The ledger says the same in `became_at`."""
    if task.finished_at is not None:
        return task.finished_at
    return task.run_at if task.status is Status.WAITING else task.started_at or task.created_at


def task_json(task: Task, messages: Sequence[Json] = ()) -> Json:
    """The whole task. `messages`: what its client has said."""
    shown: Json = {
        "id": task.id,
        "contextId": task.conversation or "",
        "status": status_of(task),
        "metadata": msgspec.json.decode(task.metadata),
    }
    if artifacts := artifacts_of(task):
        shown["artifacts"] = artifacts
    if messages:
        shown["history"] = [{**one, "taskId": task.id, "contextId": task.conversation or ""} for one in messages]
    return shown


def status_of(task: Task) -> Json:
    """The state, since when, and what there is to say of it."""
    status: Json = {"state": f"TASK_STATE_{state_of(task)}", "timestamp": rfc3339(became_at(task))}
    if (said := _said_of(task)) is not None:
        status["message"] = said
    return status


def reply_of(task: Task) -> Json | None:
    """The message that an agent answered with instead of artifacts."""
    output = _only(task, MESSAGE)
    if not isinstance(output, dict) or not _are_parts(output.get("parts")):
        return None
    return agent_message(task, "reply", output["parts"])


def artifacts_of(task: Task) -> list[Json]:
    """What a task has brought forth."""
    given = _only(task, ARTIFACTS)
    if isinstance(given, list) and all(isinstance(one, dict) and _are_parts(one.get("parts")) for one in given):
        return [_artifact(one, f"{OUTPUT}-{n}") for n, one in enumerate(given, 1)]
    output = msgspec.json.decode(task.output)
    if output is None or reply_of(task) is not None:
        return []
    part = {"text": output, "mediaType": "text/plain"} if isinstance(output, str) else data_part(output)
    return [{"artifactId": OUTPUT, "name": OUTPUT, "parts": [part]}]


def agent_message(task: Task, name: str, parts: list[Json], metadata: Json | None = None) -> Json:
    """What the agent's side says. The id is the same however often it is said."""
    message: Json = {
        "messageId": f"{task.id}-{name}",
        "role": "ROLE_AGENT",
        "parts": parts,
        "taskId": task.id,
        "contextId": task.conversation or "",
    }
    return message if not metadata else {**message, "metadata": metadata}


def said_of_error(task: Task, error: TaskError) -> Json:
    parts = [{"text": error.message or error.code}]
    return agent_message(task, f"error-{task.attempt}", parts, {"code": error.code, "retryable": error.retryable})


def said_of_wait(task: Task, waiting_for: WaitingFor) -> Json:
    """What a task waits for, so that its client knows what it is asked."""
    until = {} if waiting_for.until is None else {"until": rfc3339(waiting_for.until)}
    metadata = {"waitingFor": {"type": waiting_for.type, "name": waiting_for.name, "id": waiting_for.id, **until}}
    return agent_message(task, f"waits-{waiting_for.id}", [{"text": f"waits for {waiting_for.name!r}"}], metadata)


def data_part(value: Any) -> Json:
    return {"data": value, "mediaType": "application/json"}


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _said_of(task: Task) -> Json | None:
    if task.status is Status.SUCCEEDED:
        return reply_of(task)
    if task.status is Status.WAITING and task.waiting_for is not None:
        return said_of_wait(task, task.waiting_for)
    return said_of_error(task, task.error) if task.is_final and task.error is not None else None


def _artifact(given: Json, name: str) -> Json:
    texts = {key: text for key in ("artifactId", "name", "description") if isinstance(text := given.get(key), str)}
    return {"artifactId": name, **texts, "parts": given["parts"]}


def _only(task: Task, name: str) -> Any:
    """The value of an output that is an object of this name alone."""
    output = msgspec.json.decode(task.output)
    return output[name] if isinstance(output, dict) and output.keys() == {name} else None


def _are_parts(parts: Any) -> bool:
    return isinstance(parts, list) and bool(parts) and all(_is_part(one) for one in parts)


def _is_part(part: Any) -> bool:
    """One content, of the type that the protocol gives it: what is sent must be readable by every client."""
    if not isinstance(part, dict) or len(part.keys() & {*_TEXTS, "raw", "data"}) != 1:
        return False
    if not all(isinstance(part.get(name, ""), str) for name in (*_TEXTS, "raw", "filename", "mediaType")):
        return False
    try:
        b64decode(part.get("raw", ""), validate=True)
    except binascii.Error:
        return False
    return part.keys() <= {*_TEXTS, "raw", "data", "filename", "mediaType"}
