"""What clients are shown, as the SDK's messages: tasks, and what happens to them, event by event.

    task.queued, task.started             a status: WORKING, once it has been started
    task.waiting                          a status: INPUT_REQUIRED for a signal, else WORKING, and what it waits for
    task.retrying                         a status: WORKING, and the error
    agent.event                           a status: WORKING, with a data part of what the agent emitted
    llm.delta, llm.restarted              a status: WORKING, with the text, and in its metadata the call
    task.snapshot                         the task as it is now
    the end                               its artifacts, then the last status

Text that a model streams is progress, not a result: an agent may call several models and answer something else. So it comes as
what the agent says of its status, and the output alone is an artifact.
"""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
from a2a.server.events.event_queue import Event
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidAgentResponseError
from google.protobuf.json_format import ParseDict, ParseError

from dayshift.domain import a2a, stream
from dayshift.domain.a2a import Json
from dayshift.domain.stream import StreamEvent
from dayshift.domain.task import Task, TaskError, WaitingFor
from dayshift.tasks import events

_QUIET = frozenset({stream.QUEUED, stream.EFFECT_FINISHED})


def task_shown(task: Task, messages: Sequence[Json] = (), *, artifacts: bool = True) -> pb.Task:
    """The whole task; `messages`: its history."""
    shown = a2a.task_json(task, messages)
    if not artifacts:
        shown.pop("artifacts", None)
    return cast("pb.Task", _parsed(shown, pb.Task()))


def reply_shown(task: Task) -> pb.Message | None:
    """The message that the agent answered with instead of a task."""
    reply = a2a.reply_of(task)
    return None if reply is None else cast("pb.Message", _parsed(reply, pb.Message()))


def updates_of(event: StreamEvent, task: Task) -> list[Event]:
    """What one event of a task's stream means to an A2A client."""
    if event.is_final:
        return _end(events.task_within(event))
    if event.type == stream.SNAPSHOT:
        return [task_shown(events.task_within(event))]
    if event.type in _QUIET:
        return []
    said = msgspec.json.decode(event.data)
    return [_status(task, event, said)]


def is_interruption(update: Event) -> bool:
    """Whether the client is asked for something: no stream goes on beyond that."""
    return isinstance(update, pb.TaskStatusUpdateEvent) and update.status.state == pb.TASK_STATE_INPUT_REQUIRED


def _end(task: Task) -> list[Event]:
    same: Json = {"taskId": task.id, "contextId": task.conversation or ""}
    artifacts = [
        _parsed({**same, "artifact": one, "lastChunk": True}, pb.TaskArtifactUpdateEvent())
        for one in a2a.artifacts_of(task)
    ]
    return [*artifacts, _parsed({**same, "status": a2a.status_of(task)}, pb.TaskStatusUpdateEvent())]


def _status(task: Task, event: StreamEvent, said: Json) -> pb.TaskStatusUpdateEvent:
    state, message = a2a.WORKING, None
    match event.type:
        case stream.WAITING:
            waiting_for = msgspec.convert(said["waiting_for"], WaitingFor)
            state, message = a2a.state_of_wait(waiting_for), a2a.said_of_wait(task, waiting_for)
        case stream.RETRYING if said.get("error") is not None:
            message = a2a.said_of_error(task, msgspec.convert(said["error"], TaskError))
        case stream.LLM_DELTA | stream.LLM_RESTARTED:
            parts = [{"text": said.get("text", "")}]
            message = a2a.agent_message(task, str(event.number), parts, {"type": event.type, "call": said["call"]})
        case stream.AGENT_EVENT:
            fields = {name: value for name, value in said.items() if name not in {"task_id", "attempt", "at"}}
            message = a2a.agent_message(task, str(event.number), [a2a.data_part(fields)], {"type": event.type})
    status: Json = {"state": f"TASK_STATE_{state}", "timestamp": said["at"]}
    if message is not None:
        status["message"] = message
    shown = {"taskId": task.id, "contextId": task.conversation or "", "status": status}
    return cast("pb.TaskStatusUpdateEvent", _parsed(shown, pb.TaskStatusUpdateEvent()))


def _parsed(shown: Json, message: Any) -> Any:
    try:
        return ParseDict(shown, message, ignore_unknown_fields=True)
    except (ParseError, RecursionError) as error:  # only an output can be what the protocol cannot carry
        raise InvalidAgentResponseError(f"the agent's output cannot be shown: {error}"[:500]) from None
