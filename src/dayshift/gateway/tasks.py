"""Tasks over HTTP: submit, look, wait, list, cancel, retry, erase."""

import asyncio
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from dayshift.domain import ids
from dayshift.domain.errors import DayshiftError, DependencyAway, NotFound
from dayshift.domain.settings import Settings
from dayshift.domain.task import Status, Task
from dayshift.gateway import headers
from dayshift.gateway.bodies import read_json, read_unchecked
from dayshift.gateway.drain import Drain
from dayshift.gateway.pages import After, Page, after_id, last_id, list_reply
from dayshift.gateway.problems import problem_of
from dayshift.gateway.rate_headers import rate_headers
from dayshift.gateway.replies import NO_CONTENT, Headers, Reply, header, json_reply
from dayshift.gateway.request import Request
from dayshift.gateway.submissions import batch_items, one_request
from dayshift.gateway.wait import Wait
from dayshift.tasks.intake import Receipt
from dayshift.tasks.services import Services

LAST_LOOK_SECONDS = 2.0  # after a wait: nobody who asked for a second is kept for the ledger's time limit

_REPLAYED = header("idempotent-replayed", "true")
_LOOK_AGAIN = header("retry-after", "1")


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of one task."""

    wait: Annotated[float, Meta(ge=0, description="Wait up to so many seconds (60 at most) for its end.")] | None = None


class TaskPage(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of a list of tasks."""

    after: Annotated[After, last_id(ids.TASK)] | None = None


class TaskFilter(TaskPage, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of the list of tasks."""

    status: Status | None = None
    agent: str | None = None
    conversation: str | None = None
    user: str | None = None


class TaskDoor:
    def __init__(self, services: Services, settings: Callable[[], Settings], drain: Drain) -> None:
        self._services = services
        self._settings = settings
        self._drain = drain

    async def submit(self, request: Request) -> Reply:
        """Accept one task; under `Prefer: wait` answer with its end when that comes in time."""
        key = headers.idempotency_key(request)
        wait_seconds = headers.preferred_wait(request)
        body = await read_json(request, self._max_body_bytes)
        wish = one_request(body, key, self._settings())
        wait = Wait(self._services.waiters, request, wait_seconds or 0)
        try:
            receipt, quotas = await self._services.submitting.submit(
                wish,
                tenant=request.tenant,
                trace_id=headers.trace_id(request),
                before_commit=wait.begin,
            )
        except BaseException:
            wait.end()
            raise
        limits = rate_headers(quotas)
        if wait_seconds is None:
            return self._accepted(request, receipt.task, 202, *limits, replayed=receipt.replayed)
        task = await self._at_its_end(wait, receipt.task, request.tenant)
        applied = header("preference-applied", f"wait={wait_seconds}")
        return self._accepted(request, task, 200 if task.is_final else 202, applied, *limits, replayed=receipt.replayed)

    async def submit_batch(self, request: Request) -> Reply:
        """Accept each task of a batch for itself."""
        if request.header(b"idempotency-key") is not None:
            raise headers.wrong_header(
                "Idempotency-Key", "names one task; give each task of a batch an idempotency_key"
            )
        items = batch_items(await read_unchecked(request, self._max_body_bytes), self._settings())
        results, quotas = await self._services.submitting.submit_many(
            items, tenant=request.tenant, trace_id=headers.trace_id(request)
        )
        return json_reply({"data": [_task_or_problem(result) for result in results]}, 202, rate_headers(quotas))

    async def get(self, request: Request) -> Reply:
        """One task; with `wait`, at its end when that comes in time."""
        task_id = named_task(request)
        wait_seconds = request.query(Look).wait
        task = await self._get(task_id, request.tenant)
        if wait_seconds and not task.is_final:
            wait = Wait(self._services.waiters, request, min(wait_seconds, headers.LONGEST_WAIT_SECONDS))
            task = await self._at_its_end(wait, task, request.tenant)
        return json_reply(task, 200, self._hint(task) if wait_seconds else ())

    async def list(self, request: Request) -> Reply:
        """The caller's tasks, newest first."""
        wanted = request.query(TaskFilter)
        tasks = await self._services.ledger.tasks.list(
            request.tenant,
            status=wanted.status,
            agent=wanted.agent,
            conversation=wanted.conversation,
            user=wanted.user,
            limit=wanted.limit + 1,
            after=after_id(wanted.after, ids.TASK, "a task"),
        )
        return list_reply(tasks, wanted.limit)

    async def dead(self, request: Request) -> Reply:
        """The caller's dead letters, newest first."""
        page = request.query(TaskPage)
        after = after_id(page.after, ids.TASK, "a task")
        tasks = await self._services.ledger.tasks.dead(request.tenant, limit=page.limit + 1, after=after)
        return list_reply(tasks, page.limit)

    async def cancel(self, request: Request) -> Reply:
        return json_reply(await self._services.control.cancel(named_task(request), request.tenant), 202)

    async def retry(self, request: Request) -> Reply:
        return json_reply(await self._services.control.retry(named_task(request), request.tenant), 202)

    async def erase(self, request: Request) -> Reply:
        await self._services.control.erase(named_task(request), request.tenant)
        return NO_CONTENT

    @property
    def _max_body_bytes(self) -> int:
        return self._settings().gateway.max_body_bytes

    async def _get(self, task_id: str, tenant: str) -> Task:
        task = await self._services.lookup.of_tenant(task_id, tenant)
        if task is None:
            raise no_such_task(task_id)
        return task

    async def _at_its_end(self, wait: Wait, task: Task, tenant: str) -> Task:
        """The task when it has ended, or as it is after the wait.

        The task exists whatever becomes of the wait: when a dependency goes away meanwhile, or hangs, it is answered as last
        seen.
        """
        try:
            ended = await wait.end_of(task)
            if ended is not None:
                return ended
            async with asyncio.timeout(LAST_LOOK_SECONDS):
                return await self._get(task.id, tenant)
        except (DependencyAway, TimeoutError):
            return task
        finally:
            wait.end()

    def _hint(self, task: Task) -> Headers:
        """A wait that this gateway cuts short as it leaves says: ask again, on the connection that you get next."""
        return [_LOOK_AGAIN] if self._drain.is_draining and not task.is_final else []

    def _accepted(self, request: Request, task: Task, status: int, *more: tuple[bytes, bytes], replayed: bool) -> Reply:
        path = f"/v1/tasks/{task.id}"
        its_headers = [
            header("location", path),
            header("operation-location", request.base_url() + path),
            *more,
            *self._hint(task),
        ]
        if replayed:
            its_headers.append(_REPLAYED)
        return json_reply(task, status, its_headers)


def named_task(request: Request) -> str:
    """The task id in the path. What cannot be an id names no task."""
    task_id = request.params["id"]
    if not ids.is_valid(ids.TASK, task_id):
        raise no_such_task(task_id[:100])
    return task_id


def no_such_task(task_id: str) -> NotFound:
    return NotFound(f"there is no task {task_id!r}")


def _task_or_problem(result: Receipt | DayshiftError) -> object:
    return result.task if isinstance(result, Receipt) else problem_of(result)
