"""Carries the task into the threads that its agent starts.

`asyncio.to_thread` does so by itself; executors and `Thread` begin with an empty context, and an LLM call made there would
belong to nobody. Only threads that a task starts are touched, and only in processes that run agents.
"""

import concurrent.futures
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import thread as thread_pools  # named: the package brings it in only when it is asked for
from contextlib import contextmanager
from typing import Any

from dayshift.llm.capture.core import current_recorder


@contextmanager
def carried_into_threads() -> Iterator[None]:
    """For as long as the block lasts, a thread or an executor's job that a task starts belongs to that task."""
    submit, run = concurrent.futures.ThreadPoolExecutor.submit, threading.Thread.start

    def submit_in_context(
        pool: concurrent.futures.ThreadPoolExecutor, function: Callable[..., Any], /, *arguments: Any, **named: Any
    ) -> concurrent.futures.Future[Any]:
        if current_recorder() is None:
            return submit(pool, function, *arguments, **named)
        return submit(pool, contextvars.copy_context().run, function, *arguments, **named)

    def start_in_context(thread: threading.Thread) -> None:
        if current_recorder() is not None and not _is_of_a_pool(thread):
            context, inner = contextvars.copy_context(), thread.run
            thread.run = lambda: context.run(inner)  # type: ignore[method-assign] # as a subclass would
        run(thread)

    concurrent.futures.ThreadPoolExecutor.submit = submit_in_context  # type: ignore[method-assign, assignment] # undone below
    threading.Thread.start = start_in_context  # type: ignore[method-assign, assignment] # undone below
    try:
        yield
    finally:
        concurrent.futures.ThreadPoolExecutor.submit = submit  # type: ignore[method-assign] # as it was
        threading.Thread.start = run  # type: ignore[method-assign] # as it was


def _is_of_a_pool(thread: threading.Thread) -> bool:
    """A pool's thread outlives the task that happened to start it, and serves others."""
    return getattr(thread, "_target", None) is _POOLS_LOOP


_POOLS_LOOP = getattr(thread_pools, "_worker", None)
