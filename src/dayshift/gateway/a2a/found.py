"""A task of the caller's, and what is kept with it. What is another's, or of another agent, is not there."""

from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import TaskNotFoundError

from dayshift.domain import ids
from dayshift.domain.errors import DependencyAway
from dayshift.domain.task import Task
from dayshift.gateway.a2a.calls import Call
from dayshift.gateway.a2a.shown import task_shown
from dayshift.ledger import Kept
from dayshift.tasks.services import Services


class Finder:
    def __init__(self, services: Services) -> None:
        self._lookup = services.lookup
        self._ledger = services.ledger.a2a

    async def task(self, task_id: str, call: Call) -> Task:
        """A task of the caller's tenant and of the agent that is asked. Raises TaskNotFoundError."""
        task = await self._lookup.of_tenant(checked_id(task_id), call.tenant)
        if task is None or task.agent != call.agent.name:
            raise _no_such(task_id)
        return task

    async def kept(self, task: Task) -> Kept:
        """What its client has said, and whom it wants told."""
        return (await self._ledger.kept(task.tenant, [task.id])).get(task.id, Kept())

    async def shown(self, task: Task) -> pb.Task:
        """The task with its history; without, while the ledger is away: what was said to the task is done."""
        try:
            return task_shown(task, (await self.kept(task)).messages)
        except DependencyAway:
            return task_shown(task)


def checked_id(task_id: str) -> str:
    """What cannot be the id of a task names none. Raises TaskNotFoundError."""
    if not ids.is_valid(ids.TASK, task_id):
        raise _no_such(task_id)
    return task_id


def _no_such(task_id: str) -> TaskNotFoundError:
    return TaskNotFoundError(f"this agent has no task {task_id[:100]!r}")
