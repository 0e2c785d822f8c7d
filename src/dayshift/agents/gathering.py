"""`ctx.gather`: several things at once, each in a branch of its own.

The keys of a branch bear its number, so that equal calls of two branches are told apart: each is given again what it got
itself, whichever of them comes first the next time. (Equal calls beside each other without branches are interchangeable.)

When one branch fails, the others are cancelled and awaited before its error is raised: nothing goes on behind the agent's back.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Sequence
from contextvars import copy_context
from typing import Any

from dayshift.agents.effects import scope
from dayshift.domain.errors import WrongUse


async def gather(*branches: Any, return_exceptions: bool = False) -> list[Any]:
    """The results, in order. Raises the error of the branch that failed first; or, if they are to be returned, lets all branches
    end, with their errors among the results.
    """
    if not branches:
        return []
    _check(branches)
    outer = scope.get()
    tasks = [_begin(branch, f"{outer}/branch {number}") for number, branch in enumerate(branches)]
    done: set[asyncio.Task[Any]] = set()
    until = asyncio.ALL_COMPLETED if return_exceptions else asyncio.FIRST_EXCEPTION
    try:
        done, _ = await asyncio.wait(tasks, return_when=until)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        error = task.exception() if task in done and not task.cancelled() else None
        if error is not None and not (return_exceptions and isinstance(error, Exception)):
            raise error
    return [task.exception() or task.result() if return_exceptions else task.result() for task in tasks]


def _check(branches: Sequence[Any]) -> None:
    for number, branch in enumerate(branches, 1):
        if not inspect.isawaitable(branch):
            _close(branches)
            raise WrongUse(
                f"ctx.gather: argument {number} is {branch!r}, which cannot be awaited: give it calls, as in ctx.gather(load(1), load(2))"
            )


def _close(branches: Sequence[object]) -> None:
    """None of them will be awaited, and Python would warn of each."""
    for branch in branches:
        if inspect.iscoroutine(branch):
            branch.close()


def _begin(branch: Awaitable[Any], name: str) -> asyncio.Task[Any]:
    context = copy_context()
    context.run(scope.set, name)
    return asyncio.get_running_loop().create_task(_as_coroutine(branch), context=context)


async def _as_coroutine(branch: Awaitable[Any]) -> Any:
    return await branch
