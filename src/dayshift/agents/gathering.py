"""`ctx.gather`: several things at once, each in a branch of its own.

The keys of a branch bear its number, so that equal calls of two branches are told apart: each is given again what it got
itself, whichever of them comes first the next time. (Equal calls beside each other without branches are interchangeable.)

When one branch fails, the others are cancelled and awaited before its error is raised: nothing goes on behind the agent's back.
"""

import asyncio
from collections.abc import Awaitable
from contextvars import copy_context
from typing import Any

from dayshift.agents.effects import scope


async def gather(*branches: Awaitable[Any]) -> list[Any]:
    """The results, in order. Raises the error of the branch that failed first."""
    if not branches:
        return []
    outer = scope.get()
    tasks = [_begin(branch, f"{outer}/branch {number}") for number, branch in enumerate(branches)]
    done: set[asyncio.Task[Any]] = set()
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if task in done and not task.cancelled() and (error := task.exception()) is not None:
            raise error
    return [task.result() for task in tasks]


def _begin(branch: Awaitable[Any], name: str) -> asyncio.Task[Any]:
    context = copy_context()
    context.run(scope.set, name)
    return asyncio.get_running_loop().create_task(_as_coroutine(branch), context=context)


async def _as_coroutine(branch: Awaitable[Any]) -> Any:
    return await branch
