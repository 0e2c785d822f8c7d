"""Push notifications: which addresses a task's client wants told. They are told as webhooks are, by tasks of a worker.

What is kept stands in the task's row (ledger/a2a.py), so that no end of a task can miss an address. Credentials are shown
to nobody again.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidParamsError

from dayshift.domain import ids
from dayshift.domain.errors import InvalidInput
from dayshift.domain.settings import Settings
from dayshift.domain.task import Task
from dayshift.domain.webhooks import Push
from dayshift.gateway.webhooks import check_url
from dayshift.tasks.services import Services

MOST_PUSHES = 10
NAME_LIMIT = 255
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,4094}[\x21-\x7e])?")
_SCHEME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")


class Pushes:
    """Those of tasks that exist."""

    def __init__(self, services: Services, settings: Callable[[], Settings]) -> None:
        self._ledger = services.ledger.a2a
        self._settings = settings

    async def tell(self, task: Task, config: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig:
        """Have an address told from now on. Raises InvalidParamsError."""
        name, push = checked_push(config, self._settings)
        if not await self._ledger.set_push(task.tenant, task.id, name, push_json(push), most=MOST_PUSHES):
            raise InvalidParamsError(f"this task has {MOST_PUSHES} push notification configs; delete one first")
        return push_shown(task.id, name, push_json(push))

    async def drop(self, task: Task, name: str) -> None:
        """Tell it no more; safe to repeat."""
        await self._ledger.drop_push(task.tenant, task.id, name)


def checked_push(config: pb.TaskPushNotificationConfig, settings: Callable[[], Settings]) -> tuple[str, Push]:
    """The name and the address that a client gave. Raises InvalidParamsError."""
    name = config.id or ids.trace_id()
    if len(name) > NAME_LIMIT or not name.isprintable():
        raise InvalidParamsError(f"id: must have 1 to {NAME_LIMIT} printable characters")
    try:
        check_url(config.url, "url", settings())
    except InvalidInput as error:
        raise InvalidParamsError(error.message) from None
    for field, text, pattern in (
        ("token", config.token, _HEADER_VALUE),
        ("authentication.scheme", config.authentication.scheme, _SCHEME),
        ("authentication.credentials", config.authentication.credentials, _HEADER_VALUE),
    ):
        if text and pattern.fullmatch(text) is None:
            raise InvalidParamsError(f"{field}: cannot be sent in a header; use printable ASCII characters")
    push = Push(
        url=config.url,
        token=config.token or None,
        scheme=config.authentication.scheme or None,
        credentials=config.authentication.credentials or None,
    )
    return name, push


def push_json(push: Push) -> dict[str, Any]:
    """As it is kept."""
    kept: dict[str, Any] = msgspec.to_builtins(push)
    return kept


def push_shown(task_id: str, name: str, kept: dict[str, Any]) -> pb.TaskPushNotificationConfig:
    """As its client is shown it, without the credentials."""
    shown = pb.TaskPushNotificationConfig(id=name, task_id=task_id, url=kept["url"], token=kept.get("token") or "")
    if kept.get("scheme"):
        shown.authentication.scheme = kept["scheme"]
    return shown
