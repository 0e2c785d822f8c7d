"""The names of the push channels, and what is said on each.

| channel          | payload                                                                              |
|------------------|--------------------------------------------------------------------------------------|
| worker(ID)       | `wake`: there may be work. `cancel TASK`: a person cancelled a task that it runs.     |
| task(ID)         | an event of the task's stream: `NUMBER|TYPE|DATA`; DATA is empty when it is too large |
| ALL              | `epoch N`: the plane is ready under epoch N                                          |
|                  | `look`: keys or settings have changed                                                |
| BREAKERS         | a breaker that has changed: `NAME|STATE|ERA|AFTER MS` (see breakers.py)               |
| limits(ID)       | `LINE MS`: the first of the worker's own line for a limit may ask in so many ms       |
| MAINTENANCE      | any payload: look at the plane now                                                   |
"""

from msgspec import Struct

from dayshift.hotplane import keys

WAKE = "wake"
ALL = keys.PREFIX + "all"
BREAKERS = keys.BREAKERS_CHANNEL
MAINTENANCE = keys.PREFIX + "maintenance"


class EventNotice(Struct, frozen=True):
    """A stream event as it was pushed. `data` is None when the event must be read from the stream."""

    number: int
    type: str
    data: bytes | None


def worker(worker_id: str) -> str:
    return keys.WORKER_CHANNEL + worker_id


def limits(worker_id: str) -> str:
    return keys.LIMIT_KEYS["LIMIT_CHANNEL"] + worker_id


def task(task_id: str) -> str:
    return keys.TASK_CHANNEL + task_id


def task_id_of(channel: str) -> str | None:
    """The task that a channel belongs to, if it is a task's."""
    return channel[len(keys.TASK_CHANNEL) :] if channel.startswith(keys.TASK_CHANNEL) else None


def event_of(payload: bytes) -> EventNotice:
    """Read what was said on a task's channel."""
    number, event_type, data = payload.split(b"|", 2)
    return EventNotice(int(number), event_type.decode(), data or None)
