"""Following a task for an A2A client: until it has ended or asks for something.

A stream tells of the past as well, so a wait that it shows may be answered long since: what a task is in, the ledger says.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from a2a.server.events.event_queue import Event

from dayshift.domain import a2a, stream
from dayshift.domain.errors import DependencyAway, PlaneAway
from dayshift.domain.task import Task
from dayshift.gateway.a2a.calls import Call
from dayshift.gateway.a2a.found import checked_id
from dayshift.gateway.a2a.shown import is_interruption, updates_of
from dayshift.tasks import events
from dayshift.tasks.services import Services


class Following:
    def __init__(self, services: Services) -> None:
        self._plane = services.plane
        self._waiters = services.waiters
        self._lookup = services.lookup

    async def last_event(self, task_id: str) -> int:
        """The number of a task's latest event: whoever follows from there misses nothing. Raises TaskNotFoundError."""
        try:
            last = await self._plane.last(checked_id(task_id))
        except PlaneAway:
            return 0
        return 0 if last is None else last.number

    async def settled(self, task: Task, after: int, call: Call) -> Task:
        """The task when it has ended or asks for something; as it is when its client has gone, or this gateway goes."""
        call.request.rest()
        waiting = asyncio.ensure_future(self._settle(task, after))
        gone = asyncio.ensure_future(call.request.gone())
        try:
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else task
        finally:
            gone.cancel()
            waiting.cancel()
            await asyncio.gather(waiting, gone, return_exceptions=True)

    async def updates(self, task: Task, after: int) -> AsyncGenerator[Event]:
        """What happens from then on, until the end, or until the client is asked for something."""
        async with aclosing(self._waiters.stream(task.id, task.tenant, after)) as following:
            async for event in following:
                for update in updates_of(event, task):
                    yield update
                    if is_interruption(update):
                        return

    async def _settle(self, task: Task, after: int) -> Task:
        async with aclosing(self._waiters.stream(task.id, task.tenant, after)) as following:
            async for event in following:
                if event.is_final:
                    return events.task_within(event)
                if event.type in {stream.WAITING, stream.SNAPSHOT}:
                    task = await self._now(task)
                    if a2a.state_of(task) == a2a.INPUT_REQUIRED:
                        return task
        return await self._now(task)

    async def _now(self, task: Task) -> Task:
        """As it is; as it was last seen while the ledger is away, since what was said to it is done."""
        try:
            return await self._lookup.of_tenant(task.id, task.tenant) or task
        except DependencyAway:
            return task
