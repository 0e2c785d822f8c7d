"""The stream events that the services write (CONTRACT section 3): each a JSON object with `task_id`, `attempt`, `at`."""

from datetime import datetime
from typing import Any

import msgspec

from dayshift.domain import stream
from dayshift.domain.clock import now
from dayshift.domain.stream import Append, StreamEvent
from dayshift.domain.task import Notice, Status, Task, TaskError, WaitingFor

_FINAL_TYPE = {
    Status.SUCCEEDED: stream.SUCCEEDED,
    Status.FAILED: stream.FAILED,
    Status.CANCELLED: stream.CANCELLED,
}
_encoder = msgspec.json.Encoder()


class _TaskCarrier(msgspec.Struct):
    task: Task


_carrier_decoder = msgspec.json.Decoder(_TaskCarrier)


def build(task_id: str, attempt: int, event_type: str, **fields: Any) -> Append:
    """Any event, stamped with this machine's time."""
    data = _encoder.encode({"task_id": task_id, "attempt": attempt, "at": now(), **fields})
    return Append(task_id=task_id, attempt=attempt, type=event_type, data=data)


def queued(task_id: str, attempt: int, queue: str) -> Append:
    return build(task_id, attempt, stream.QUEUED, queue=queue)


def started(task_id: str, attempt: int, worker_id: str, version: str | None) -> Append:
    return build(task_id, attempt, stream.STARTED, worker=worker_id, version=version)


def retrying(task_id: str, attempt: int, error: TaskError | None, run_at: datetime) -> Append:
    return build(task_id, attempt, stream.RETRYING, error=error, run_at=run_at)


def waiting(task_id: str, attempt: int, waiting_for: WaitingFor, notice: Notice | None = None) -> Append:
    return build(task_id, attempt, stream.WAITING, waiting_for=waiting_for, notice=notice)


def snapshot(task: Task) -> Append:
    """How a stream goes on after its history was lost: the task as it is now."""
    return build(task.id, task.attempt, stream.SNAPSHOT, task=task)


def final(task: Task) -> Append:
    """The last event of a finished task. It carries the whole task, so that a waiter needs no database query."""
    return build(task.id, task.attempt, _FINAL_TYPE[task.status], task=task)


def numbered(append: Append, number: int) -> StreamEvent:
    """An event that this process makes up for one reader, without writing it to the stream."""
    return StreamEvent(number=number, type=append.type, data=append.data)


def task_within(event: StreamEvent) -> Task:
    """The task that a final event or a snapshot carries."""
    return _carrier_decoder.decode(event.data).task
