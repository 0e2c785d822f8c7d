"""Responses over HTTP: create, look, follow, cancel, delete, and list what was asked."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from starlette.datastructures import QueryParams
from starlette.types import Message, Send

from dayshift.domain.errors import DependencyAway, FieldError, InvalidInput, NotFound
from dayshift.domain.patience import until_answered
from dayshift.domain.settings import Settings
from dayshift.domain.task import Task
from dayshift.gateway import headers
from dayshift.gateway.bodies import read_json
from dayshift.gateway.drain import Drain
from dayshift.gateway.paths import dotted
from dayshift.gateway.problems import HttpError
from dayshift.gateway.rate_headers import rate_headers
from dayshift.gateway.replies import Answer, Headers, header, json_reply
from dayshift.gateway.request import Request
from dayshift.gateway.responses.errors import request_id
from dayshift.gateway.responses.following import ResponseStream
from dayshift.gateway.responses.names import no_such_response, response_id, task_id_of
from dayshift.gateway.responses.shapes import DeletedResponse, ItemList, ItemsPage, Look
from dayshift.gateway.responses.views import input_items, kept_of, view_of
from dayshift.gateway.responses.wishes import Wishes
from dayshift.gateway.tasks import LAST_LOOK_SECONDS
from dayshift.gateway.wait import Wait
from dayshift.tasks.services import Services

LONGEST_WAIT_SECONDS = 570.0  # OpenAI's clients wait for 600
CANCEL_SECONDS = 12.0  # code that swallows a cancellation is fenced off after 10
MOST_ITEMS = 100
Query = TypeVar("Query", bound=msgspec.Struct)

_REPLAYED = header("idempotent-replayed", "true")


class ResponsesDoor:
    def __init__(self, services: Services, settings: Callable[[], Settings], drain: Drain) -> None:
        self._services = services
        self._settings = settings
        self._drain = drain
        self._wishes = Wishes(services)

    async def create(self, request: Request) -> Answer:
        """Make a response, and answer with it at once (`background`), as it goes (`stream`), or at its end."""
        settings = self._settings()
        key = headers.idempotency_key(request)
        raw = await read_json(request, settings.gateway.max_body_bytes)
        asked, wish = await self._wishes.of(raw, request.tenant, key, settings)
        waits = not asked.background and not asked.stream
        if asked.stream:
            request.stay()
        wait = Wait(self._services.waiters, request, LONGEST_WAIT_SECONDS if waits else 0)
        try:
            receipt, quotas = await self._services.submitting.submit(
                wish, tenant=request.tenant, trace_id=headers.trace_id(request), before_commit=wait.begin
            )
        except BaseException:
            wait.end()
            raise
        its_headers = [*rate_headers(quotas), *([_REPLAYED] if receipt.replayed else [])]
        if asked.stream:
            return self._stream(receipt.task, request, None, its_headers)
        if asked.background:
            return self._shown(receipt.task, its_headers)
        return self._shown(self._not_cut_short(await self._at_its_end(wait, receipt.task), key), its_headers)

    async def get(self, request: Request) -> Answer:
        """A response as it is, or its events from where the reader stopped."""
        look = _query(request, Look)
        task = await self._named(request)
        return self._stream(task, request, look.starting_after) if look.stream else self._shown(task)

    async def cancel(self, request: Request) -> Answer:
        """Cancel it, and answer when it has stopped. What has ended stays as it is."""
        named = await self._named(request)
        wait = Wait(self._services.waiters, request, CANCEL_SECONDS)
        task = await self._services.control.cancel(named.id, request.tenant)
        return self._shown(await self._at_its_end(wait, task))

    async def delete(self, request: Request) -> Answer:
        """Erase it. `Conflict` while it has not ended."""
        task = await self._named(request)
        await self._services.control.erase(task.id, request.tenant)
        return _Identified(json_reply(DeletedResponse(id=response_id(task.id))))

    async def input_items(self, request: Request) -> Answer:
        """What was asked, the last item first."""
        page = _query(request, ItemsPage)
        items = input_items(await self._named(request))
        ordered = items if page.order == "asc" else items[::-1]
        names = [item["id"] for item in ordered]
        if page.after is not None:
            ordered = ordered[names.index(page.after) + 1 :] if page.after in names else []
        shown = ordered[: min(max(page.limit, 1), MOST_ITEMS)]
        return _Identified(
            json_reply(
                ItemList(
                    data=shown,
                    first_id=shown[0]["id"] if shown else None,
                    last_id=shown[-1]["id"] if shown else None,
                    has_more=len(ordered) > len(shown),
                )
            )
        )

    async def _named(self, request: Request) -> Task:
        named = request.params["id"]
        task = await self._services.lookup.of_tenant(task_id_of(named), request.tenant)
        if task is None:
            raise no_such_response(named)
        return task

    async def _at_its_end(self, wait: Wait, task: Task) -> Task:
        """The task when it has ended, or as it is after the wait; as last seen if a dependency went away meanwhile."""
        try:
            ended = await wait.end_of(task)
            if ended is not None:
                return ended
            async with asyncio.timeout(LAST_LOOK_SECONDS):
                return await self._services.lookup.of_tenant(task.id, task.tenant) or task
        except (DependencyAway, TimeoutError):
            return task
        finally:
            wait.end()

    def _not_cut_short(self, task: Task, key: str | None) -> Task:
        """A client with a key is sent to another gateway when this one leaves: there it goes on to wait for the same response."""
        if self._drain.is_draining and not task.is_final and key is not None:
            raise HttpError(
                503,
                "draining",
                "this gateway is leaving; ask again, with the same Idempotency-Key",
                headers=[header("retry-after", "1")],
            )
        return task

    def _shown(self, task: Task, its_headers: Headers = ()) -> Answer:
        reply = json_reply(view_of(task), 200, its_headers)
        if task.is_final and not kept_of(task).store:
            return _Identified(reply, lambda: self._forget(task))
        return _Identified(reply)

    def _stream(self, task: Task, request: Request, after: int | None, its_headers: Headers = ()) -> Answer:
        source = self._services.waiters.stream(task.id, task.tenant, 0)

        async def when_delivered() -> None:
            if not kept_of(task).store:
                await self._forget(task)

        stream = ResponseStream(source, request, task=task, after=after, when_delivered=when_delivered)
        return _Identified(stream, None, its_headers)

    async def _forget(self, task: Task) -> None:
        """Erase what was not to be stored, now that it is delivered. Nobody waits for that."""

        async def erase() -> None:
            try:
                await self._services.control.erase(task.id, task.tenant)
            except NotFound:
                return  # delivered twice at the same time

        self._services.background.spawn(until_answered(erase), where="gateway.responses")


class _Identified:
    """An answer with a request's id and more headers; `afterwards` is done once it is sent."""

    def __init__(
        self, answer: Answer, afterwards: Callable[[], Awaitable[None]] | None = None, more: Headers = ()
    ) -> None:
        self.status = answer.status
        self._answer = answer
        self._afterwards = afterwards
        self._headers = [request_id(), *more]

    async def send(self, send: Send, *, closing: bool, without_body: bool) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._answer.send(with_headers, closing=closing, without_body=without_body)
        if self._afterwards is not None:
            await self._afterwards()


def _query(request: Request, shape: type[Query]) -> Query:
    """The query as a struct. OpenAI's clients send more than means something here (`include[]`, ...): that is left alone."""
    known = {field.name for field in msgspec.structs.fields(shape)}
    values: dict[str, Any] = {
        name: value for name, value in QueryParams(request.scope["query_string"]).multi_items() if name in known
    }
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        fault = dotted(error, shape)
        message = f"the query of the URL is not valid: {fault.path}: {fault.message}"
        raise InvalidInput(message, [FieldError(fault.path, fault.message)], code="invalid_query") from None
