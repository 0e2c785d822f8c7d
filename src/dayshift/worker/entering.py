"""How an agent's function is entered, and what came out of it, as plain data.

Async agents share the event loop. A plain function gets a thread of its own, which is a daemon: the threads of a pool
are joined when the interpreter ends, so one stuck function would keep a drained process for ever. Slots bound how many
there are.

Whatever the function raises is caught here, SystemExit and KeyboardInterrupt too: in an asyncio task those two would
leave through the event loop and take the neighbours with them.
"""

import asyncio
import inspect
import threading
from contextvars import copy_context
from typing import Any

from msgspec import Struct

from dayshift.agents import Agent, Context


class Returned(Struct, frozen=True):
    value: Any


class Raised(Struct, frozen=True):
    error: BaseException


Ending = Returned | Raised


def enter(agent: Agent, context: Context, arguments: dict[str, Any]) -> asyncio.Future[Ending]:
    """Start the agent's code; cancelling the future cancels the code, if it is async."""
    if agent.is_async:
        return asyncio.create_task(_call_async(agent, context, arguments), name=f"{agent.name} {context.task_id}")
    return _call_in_thread(agent, context, arguments)


async def _call_async(agent: Agent, context: Context, arguments: dict[str, Any]) -> Ending:
    try:
        result = agent.call(context, arguments)
        return Returned(await result if inspect.isawaitable(result) else result)
    except BaseException as error:  # noqa: BLE001 - see above
        return Raised(error)


class ThreadEnding(asyncio.Future[Ending]):
    """A thread cannot be interrupted: a cancel leaves the future as it is, and the fence decides."""

    thread_id: int | None = None

    def cancel(self, msg: Any | None = None) -> bool:  # noqa: ARG002 - the base class names it
        return False


def _call_in_thread(agent: Agent, context: Context, arguments: dict[str, Any]) -> asyncio.Future[Ending]:
    loop = asyncio.get_running_loop()
    future = ThreadEnding(loop=loop)
    variables = copy_context()

    def call() -> Ending:
        try:
            return Returned(agent.call(context, arguments))
        except BaseException as error:  # noqa: BLE001 - see above
            return Raised(error)

    def run() -> None:
        ending = variables.run(call)
        if not loop.is_closed():
            loop.call_soon_threadsafe(future.set_result, ending)

    thread = threading.Thread(target=run, name=f"{agent.name} {context.task_id}", daemon=True)
    thread.start()
    future.thread_id = thread.ident
    return future
