"""ListTasks: the tasks of an agent that stand in a context, the latest change first, in pages."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import msgspec
from a2a.types import a2a_pb2 as pb
from a2a.utils.constants import DEFAULT_LIST_TASKS_PAGE_SIZE
from a2a.utils.errors import InvalidParamsError
from a2a.utils.task import apply_history_length, validate_history_length, validate_page_size

from dayshift.domain import ids
from dayshift.domain.task import Task
from dayshift.gateway.a2a.calls import Call
from dayshift.gateway.a2a.shown import task_shown
from dayshift.ledger import InContexts, Ledger

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Contexts:
    """Lists for one caller at a time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def page(self, params: pb.ListTasksRequest, call: Call) -> pb.ListTasksResponse:
        validate_history_length(params)
        if params.HasField("page_size"):
            validate_page_size(params.page_size)
        size = params.page_size or DEFAULT_LIST_TASKS_PAGE_SIZE
        wanted = _wanted(params, call)
        found = await self._ledger.a2a.list(wanted, limit=size + 1, below=_below(params.page_token))
        page, rest = found[:size], found[size:]
        return pb.ListTasksResponse(
            tasks=await self._shown([task for _, task in page], params, call),
            next_page_token=_token(*page[-1]) if rest else "",
            page_size=size,
            total_size=await self._ledger.a2a.count(wanted),
        )

    async def _shown(self, tasks: list[Task], params: pb.ListTasksRequest, call: Call) -> list[pb.Task]:
        kept = await self._ledger.a2a.kept(call.tenant, [task.id for task in tasks])
        shown = []
        for task in tasks:
            messages = kept[task.id].messages if task.id in kept else ()
            one = task_shown(task, messages, artifacts=params.include_artifacts)
            shown.append(apply_history_length(one, params))
        return shown


def _wanted(params: pb.ListTasksRequest, call: Call) -> InContexts:
    since = params.status_timestamp_after
    if "\x00" in params.context_id:
        raise InvalidParamsError("contextId: holds a NUL character")
    return InContexts(
        tenant=call.tenant,
        agent=call.agent.name,
        conversation=params.context_id or None,
        state=pb.TaskState.Name(params.status).removeprefix("TASK_STATE_") if params.status else None,
        since=_EPOCH + timedelta(seconds=since.seconds, microseconds=since.nanos // 1000)
        if params.HasField("status_timestamp_after")
        else None,
    )


def _token(became_at: datetime, task: Task) -> str:
    moment = became_at.astimezone(UTC).isoformat()
    return urlsafe_b64encode(msgspec.json.encode([moment, task.id])).decode().rstrip("=")


def _below(token: str) -> tuple[datetime, str] | None:
    if not token:
        return None
    try:
        decoded = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        moment, task_id = msgspec.json.decode(decoded, type=tuple[datetime, str])
    except (binascii.Error, UnicodeEncodeError, msgspec.DecodeError):
        raise InvalidParamsError("pageToken: is none that a list gave") from None
    if moment.tzinfo is None or not ids.is_valid(ids.TASK, task_id):
        raise InvalidParamsError("pageToken: is none that a list gave")
    return moment, task_id
