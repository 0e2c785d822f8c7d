"""Carries the task into the threads that its agent starts, and knows of the jobs that it has given to executors.

`asyncio.to_thread` does so by itself; executors and `Thread` begin with an empty context, and an LLM call made there would
belong to nobody. Only threads that a task starts are touched, and only in processes that run agents.
"""

import concurrent.futures
import contextvars
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import thread as thread_pools  # named: the package brings it in only when it is asked for
from contextlib import contextmanager
from functools import partial
from typing import Any

from dayshift.llm.capture.core import current_recorder


class Jobs:
    """What one task has given to executors and what has not ended. Threads of its own are not counted: those of tracers and
    exporters never end, whoever happened to start them.
    """

    def __init__(self) -> None:
        self._threads: dict[object, int | None] = {}  # by job; None: it has not begun

    def follow(self) -> None:
        """From here on, jobs begun below are of this task."""
        _jobs.set(self)

    def are_all_in(self, threads: Collection[int | None]) -> bool:
        """Whether each is in one of these threads."""
        return all(thread is not None and thread in threads for thread in tuple(self._threads.values()))

    def submit(
        self, submit: Callable[[Callable[[], Any]], concurrent.futures.Future[Any]], call: Callable[[], Any]
    ) -> concurrent.futures.Future[Any]:
        """Submit a job that is known until it has ended, or was cancelled before it began."""
        job = object()
        self._threads[job] = None
        try:
            future = submit(partial(self._run, job, call))
        except BaseException:
            self._end(job)
            raise
        future.add_done_callback(lambda _: self._end(job))
        return future

    def _run(self, job: object, call: Callable[[], Any]) -> Any:
        self._threads[job] = threading.get_ident()
        return call()

    def _end(self, job: object) -> None:
        self._threads.pop(job, None)


_jobs: contextvars.ContextVar[Jobs | None] = contextvars.ContextVar("dayshift_jobs", default=None)


@contextmanager
def carried_into_threads() -> Iterator[None]:
    """For as long as the block lasts, a thread or an executor's job that a task starts belongs to that task."""
    submit, run = concurrent.futures.ThreadPoolExecutor.submit, threading.Thread.start

    def submit_in_context(
        pool: concurrent.futures.ThreadPoolExecutor, function: Callable[..., Any], /, *arguments: Any, **named: Any
    ) -> concurrent.futures.Future[Any]:
        if current_recorder() is None:
            return submit(pool, function, *arguments, **named)
        call = partial(contextvars.copy_context().run, partial(function, *arguments, **named))
        jobs = _jobs.get()
        return submit(pool, call) if jobs is None else jobs.submit(partial(submit, pool), call)

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
