import asyncio
import sys
import threading

import dayshift
from dayshift import Context, agent
from dayshift.agents import bind
from dayshift.agents.declaration import declaration_of
from dayshift.agents.registered import Agent
from dayshift.worker.attempt import Attempt, StopReason
from dayshift.worker.entering import Raised, Returned, enter
from dayshift.worker.lease import Lease


def registered(function, *, is_async):
    return Agent(declaration_of(agent(function)), function, is_async=is_async)


async def test_async_code_runs_on_this_loop_and_plain_code_in_a_thread_of_its_own():
    async def asynchronous(ctx: Context):
        return threading.get_ident(), dayshift.current() is ctx

    def plain(ctx: Context):
        return threading.get_ident(), dayshift.current() is ctx

    context = Context.local()
    bind(context)
    here = threading.get_ident()
    assert await enter(registered(asynchronous, is_async=True), context, {}) == Returned((here, True))
    ending = await enter(registered(plain, is_async=False), context, {})
    assert ending.value[0] != here
    assert ending.value[1]


async def test_even_an_exit_is_caught():
    async def asynchronous():
        sys.exit(3)

    def plain():
        raise StopIteration

    ending = await enter(registered(asynchronous, is_async=True), Context.local(), {})
    assert isinstance(ending, Raised)
    assert isinstance(ending.error, SystemExit)
    ending = await enter(registered(plain, is_async=False), Context.local(), {})
    assert isinstance(ending.error, StopIteration)


async def test_a_stop_reaches_async_code_and_its_reason_stands():
    entered = asyncio.Event()

    async def waits():
        entered.set()
        await asyncio.Event().wait()

    attempt = Attempt("task_1", Lease("worker_1"))
    body = enter(registered(waits, is_async=True), Context.local(), {})
    waiting = asyncio.create_task(attempt.until_ended(body, 60, StopReason.TIMEOUT))
    await entered.wait()
    attempt.stop(StopReason.CANCELLED)
    attempt.stop(StopReason.DRAINING)
    assert await waiting
    assert attempt.stop_reason is StopReason.CANCELLED
    assert isinstance(body.result().error, asyncio.CancelledError)


async def test_a_deadline_stops_and_a_lost_lease_outranks_it():
    async def waits():
        await asyncio.Event().wait()

    attempt = Attempt("task_1", Lease("worker_1"))
    body = enter(registered(waits, is_async=True), Context.local(), {})
    assert await attempt.until_ended(body, 0.01, StopReason.TIMEOUT)
    assert attempt.stop_reason is StopReason.TIMEOUT
    attempt.stop(StopReason.SUPERSEDED)
    assert attempt.stop_reason is StopReason.SUPERSEDED


async def test_code_that_does_not_end_is_left_behind(monkeypatch):
    monkeypatch.setattr("dayshift.worker.attempt.FENCE_AFTER_SECONDS", 0.05)
    release = asyncio.Event()

    async def swallows():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    attempt = Attempt("task_1", Lease("worker_1"))
    body = enter(registered(swallows, is_async=True), Context.local(), {})
    assert not await attempt.until_ended(body, 0.01, StopReason.TIMEOUT)
    assert attempt.body_is_running
    gone = asyncio.Event()
    attempt.when_body_is_gone(gone.set)
    release.set()
    await asyncio.wait_for(gone.wait(), 5)


async def test_a_thread_cannot_be_cancelled_but_it_is_waited_for():
    release = threading.Event()

    def plain():
        release.wait(10)
        return 5

    attempt = Attempt("task_1", Lease("worker_1"))
    body = enter(registered(plain, is_async=False), Context.local(), {})
    waiting = asyncio.create_task(attempt.until_ended(body, 60, StopReason.TIMEOUT))
    await asyncio.sleep(0)
    attempt.stop(StopReason.CANCELLED)
    await asyncio.sleep(0)
    assert not waiting.done()
    release.set()
    assert await waiting
    assert body.result() == Returned(5)
