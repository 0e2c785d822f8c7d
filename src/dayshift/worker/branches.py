"""The branches of an agent: every asyncio task and every executor's job that its code has started, and whether all of them
wait durably.

A task may be parked only when nothing of it goes on in memory: then nothing is lost but what the journal brings back. An
asyncio task is registered here when it is begun from within an agent. Each must be

    in a durable wait, or
    waiting for other branches: awaiting a task, `asyncio.gather`, `asyncio.wait`, or the end of a `TaskGroup`

and each job in a thread that blocks until a durable wait has ended.

A branch under an `asyncio.timeout` that has a deadline does not wait durably, whatever it awaits: parked, it would forget that
deadline. Those of anyio are not seen.

Whatever else one waits for (a socket, a thread, a lock) may be work that somebody would miss. What cannot be told is taken
for that: the task then keeps its slot, which costs memory and is never wrong.

Nor does one wait whose answer is there and which has not had its turn of the loop yet: parked, it would be told of nothing
more. (uvloop runs timers, and so the look whether to park, between an answer and the turn of who awaits it.)
"""

import asyncio
from asyncio import taskgroups, tasks, timeouts
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from types import CodeType, FrameType
from typing import Any
from weakref import WeakKeyDictionary

from dayshift.llm.capture import Jobs

Branch = asyncio.Task[Any]

_current: ContextVar["Branches | None"] = ContextVar("dayshift_branches", default=None)

_WAIT: CodeType = tasks._wait.__code__  # type: ignore[attr-defined]  # noqa: SLF001 - what asyncio.wait awaits in
_GROUP_ENDS = {
    getattr(taskgroups.TaskGroup, name).__code__
    for name in ("__aexit__", "_aexit")
    if hasattr(taskgroups.TaskGroup, name)
}


class Branches:
    """Of one attempt."""

    def __init__(self) -> None:
        self._branches: set[Branch] = set()
        self._jobs = Jobs()

    def follow(self) -> None:
        """From here on, what is begun below are branches of this attempt."""
        _current.set(self)
        self._jobs.follow()

    def add(self, branch: Branch) -> None:
        self._branches.add(branch)
        branch.add_done_callback(self._branches.discard)

    def all_wait(self, is_waiting: Callable[[Branch], bool], threads: Collection[int | None] = ()) -> bool:
        """Whether every branch waits, given those that are in a durable wait and the threads that block until one has ended."""
        return self._jobs.are_all_in(threads) and all(
            not _is_about_to_run(branch)
            and not _has_deadline(branch)
            and (is_waiting(branch) or self._waits_for_others(branch))
            for branch in self._branches
        )

    def end(self) -> None:
        """Cancel them all."""
        for branch in list(self._branches):
            branch.cancel("dayshift: parked")

    def _waits_for_others(self, branch: Branch) -> bool:
        awaited = _awaited(branch)
        if isinstance(awaited, asyncio.Task):
            return awaited in self._branches
        if children := getattr(awaited, "_children", None):  # asyncio.gather
            return self._are_branches(children)
        frame = _innermost(branch.get_coro())
        if frame is None:
            return False
        if frame.f_code is _WAIT:
            return self._are_branches(frame.f_locals.get("fs", ()))
        return frame.f_code in _GROUP_ENDS

    def _are_branches(self, awaited: Any) -> bool:
        return all(one.done() or one in self._branches for one in awaited)


_timeouts: WeakKeyDictionary[Branch, list[timeouts.Timeout]] = WeakKeyDictionary()


@contextmanager
def timeouts_noted() -> Iterator[None]:
    """For as long as the block lasts, it is known which branches of agents are under a time-out."""
    enter, leave = timeouts.Timeout.__aenter__, timeouts.Timeout.__aexit__

    async def enter_noted(limit: timeouts.Timeout) -> timeouts.Timeout:
        entered = await enter(limit)
        branch = asyncio.current_task()
        if branch is not None and _current.get() is not None:
            _timeouts.setdefault(branch, []).append(limit)
        return entered

    async def leave_noted(limit: timeouts.Timeout, *error: Any) -> None:
        branch = asyncio.current_task()
        if branch is not None and limit in (noted := _timeouts.get(branch, [])):
            noted.remove(limit)
        await leave(limit, *error)

    timeouts.Timeout.__aenter__ = enter_noted  # type: ignore[method-assign, assignment] # undone below
    timeouts.Timeout.__aexit__ = leave_noted  # type: ignore[method-assign, assignment] # undone below
    try:
        yield
    finally:
        timeouts.Timeout.__aenter__ = enter  # type: ignore[method-assign] # as it was
        timeouts.Timeout.__aexit__ = leave  # type: ignore[method-assign] # as it was


def _has_deadline(branch: Branch) -> bool:
    return any(limit.when() is not None for limit in _timeouts.get(branch, ()))


def task_factory(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, Any],
    *,
    context: Context | None = None,
    **options: Any,
) -> Branch:
    """Makes asyncio's own tasks, and registers those that are begun from within an agent."""
    branch: Branch = asyncio.Task(coroutine, loop=loop, context=context, **options)
    branches = _current.get() if context is None else context.get(_current)
    if branches is not None:
        branches.add(branch)
    return branch


def _awaited(branch: Branch) -> asyncio.Future[Any] | None:
    return getattr(branch, "_fut_waiter", None)


def _is_about_to_run(branch: Branch) -> bool:
    awaited = _awaited(branch)
    return awaited is None or awaited.done()


def _innermost(coroutine: Any) -> FrameType | None:
    """The frame in which a suspended coroutine awaits something that is no coroutine."""
    frame: FrameType | None = None
    while coroutine is not None and hasattr(coroutine, "cr_frame"):
        frame, coroutine = coroutine.cr_frame, coroutine.cr_await
    return frame
