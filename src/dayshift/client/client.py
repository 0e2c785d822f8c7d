"""`dayshift.Client`: submit tasks, wait for them, read along, signal and cancel them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import msgspec

from dayshift.client.sending import Sender
from dayshift.client.shapes import Event, Task, TaskFailed
from dayshift.client.streaming import events_of
from dayshift.client.trust import trusted
from dayshift.config import Config
from dayshift.domain.errors import InvalidInput
from dayshift.domain.task import Status

IDLE_CONNECTIONS = 20
ANSWER_SECONDS = 30.0
POLL_SECONDS = 20.0
BETWEEN_POLLS_SECONDS = 0.05
PAGE = 100


class Client:
    """A gateway, for one event loop.

    `url` and `api_key` are by default those of DAYSHIFT_HOST, DAYSHIFT_PORT and DAYSHIFT_API_KEY.

        async with dayshift.Client() as client:
            task = await client.submit("support", {"question": "Where is my order?"})
            print(await client.result(task))

    What may be repeated is, for a while, when the gateway is away or busy; a submit always may, as it has an idempotency key. Errors are
    those of `dayshift.domain.errors`: InvalidInput, NotFound, Conflict, Refused, DependencyAway, each with a sentence that says the cure.
    """

    def __init__(self, url: str | None = None, api_key: str | None = None) -> None:
        import httpx2

        config = Config.from_env()
        api_key = api_key or config.api_key
        self.url = (url or config.gateway_url).rstrip("/")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            # Each stream and each wait holds a connection; a bound on them would be one on tasks that are followed at once.
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=IDLE_CONNECTIONS)
            self._http = httpx2.AsyncClient(
                base_url=self.url,
                headers=headers,
                timeout=ANSWER_SECONDS,
                limits=limits,
                verify=trusted(config, url),
            )
        except (httpx2.InvalidURL, ValueError, TypeError) as error:
            raise InvalidInput(f"{self.url!r} is no address ({error}); give one like http://127.0.0.1:8700") from error
        self._sender = Sender(self._http, self.url, has_key=bool(api_key))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def submit(
        self,
        agent: str,
        input: Any,  # noqa: A002 - the contract's word
        *,
        conversation: str | None = None,
        user: str | None = None,
        priority: int | None = None,
        run_at: datetime | None = None,
        delay: float | None = None,
        timeout: float | None = None,
        expires_at: datetime | None = None,
        webhook: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        on_busy: Literal["enqueue", "reject", "interrupt"] | None = None,
        idempotency_key: str | None = None,
    ) -> Task:
        """Have an agent run; answers at once with the task. `input`: an object of the agent's parameters, or its only one. Seconds are
        floats. With the same `idempotency_key` within 24 hours it is the same task; by default each call has its own.
        """
        wanted = {
            "conversation": conversation,
            "user": user,
            "priority": priority,
            "run_at": run_at,
            "delay": delay,
            "timeout": timeout,
            "expires_at": expires_at,
            "webhook": webhook,
            "metadata": metadata,
            "on_busy": on_busy,
        }
        body = {"agent": agent, "input": input, **{name: value for name, value in wanted.items() if value is not None}}
        key = idempotency_key or str(uuid.uuid4())
        headers = {"Idempotency-Key": key}
        return _task_in(await self._sender.send("POST", "/v1/tasks", body=_encoded(body), headers=headers))

    async def get(self, task: Task | str) -> Task:
        """The task as it is now."""
        return _task_in(await self._sender.send("GET", _path(task)))

    async def result(self, task: Task | str, *, timeout_seconds: float | None = None) -> Any:
        """The task's output, once it has ended. Raises TaskFailed when it has failed or was cancelled, TimeoutError after the time that is
        given; the task goes on then.
        """
        ended = await self.ended(task, timeout_seconds=timeout_seconds)
        if ended.status is not Status.SUCCEEDED:
            raise TaskFailed(ended)
        return ended.output

    async def ended(self, task: Task | str, *, timeout_seconds: float | None = None) -> Task:
        """The task once it has ended, however."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                query = {"wait": int(POLL_SECONDS)}
                waits = POLL_SECONDS + ANSWER_SECONDS
                seen = _task_in(await self._sender.send("GET", _path(task), query=query, timeout_seconds=waits))
                if seen.is_final:
                    return seen
                await asyncio.sleep(BETWEEN_POLLS_SECONDS)  # a gateway that leaves answers early

    def stream(self, task: Task | str, *, after: int = 0) -> AsyncIterator[Event]:
        """Its events as they come, to the last; `after`: only those with a higher number."""
        return events_of(self._http, self._sender, _id_of(task), after)

    async def cancel(self, task: Task | str) -> Task:
        """Have it end; one that has ended stays as it is."""
        return _task_in(await self._sender.send("POST", f"{_path(task)}/cancel"))

    async def retry(self, task: Task | str) -> Task:
        """Queue a dead letter again."""
        return _task_in(await self._sender.send("POST", f"{_path(task)}/retry", may_repeat=False))

    async def signal(self, task: Task | str, name: str, payload: Any = None, *, wait_id: str | None = None) -> None:
        """Say something to a task that waits for it, or will. With the `wait_id` of its `waiting_for` it is said once, however often it
        is sent.
        """
        body = {"payload": payload, **({} if wait_id is None else {"wait_id": wait_id})}
        path = f"{_path(task)}/signals/{quote(name, safe='')}"
        await self._sender.send("POST", path, body=_encoded(body), may_repeat=wait_id is not None)

    async def tasks(
        self,
        *,
        status: str | None = None,
        agent: str | None = None,
        conversation: str | None = None,
        user: str | None = None,
    ) -> AsyncIterator[Task]:
        """All that fit, the newest first; pages are fetched as they are needed."""
        after: str | None = None
        while True:
            query = {"status": status, "agent": agent, "conversation": conversation, "user": user}
            answer = await self._sender.send("GET", "/v1/tasks", query={**query, "limit": PAGE, "after": after})
            page = msgspec.json.decode(answer, type=_Page)
            for task in page.data:
                yield task
            if not page.has_more:
                return
            after = page.data[-1].id


class _Page(msgspec.Struct):
    data: list[Task]
    has_more: bool


def _task_in(answer: bytes) -> Task:
    return msgspec.json.decode(answer, type=Task)


def _encoded(body: Any) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"this cannot be sent as JSON: {error}") from error


def _id_of(task: Task | str) -> str:
    return task if isinstance(task, str) else task.id


def _path(task: Task | str) -> str:
    return f"/v1/tasks/{quote(_id_of(task), safe='')}"
