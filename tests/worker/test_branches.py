"""Which branches of an agent wait, at every turn of the event loop."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from dayshift.worker.branches import Branches, task_factory, timeouts_noted

Answer = asyncio.Future[None]


async def first_of_two(first: Answer, second: Answer) -> None:
    waits = [asyncio.create_task(durable(answer)) for answer in (first, second)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)


async def both_at_once(first: Answer, second: Answer) -> None:
    await asyncio.gather(fails_after(first), durable(second))


async def in_turn(first: Answer, second: Answer) -> None:
    await asyncio.create_task(durable(first))


async def itself(first: Answer, second: Answer) -> None:
    await durable(first)


async def durable(answer: Answer) -> None:
    branch = asyncio.current_task()
    WAITING.add(branch)
    try:
        await answer
    finally:
        WAITING.discard(branch)


async def fails_after(answer: Answer) -> None:
    await durable(answer)
    raise ValueError("it went wrong")


WAITING: set[asyncio.Task[None] | None] = set()


@pytest.mark.parametrize("body", [first_of_two, both_at_once, in_turn, itself])
async def test_who_has_an_answer_does_not_wait_any_more(body: Callable[[Answer, Answer], Awaitable[None]]) -> None:
    """A timer may come between any two turns of the loop. What is parked then is told of the answer by nobody."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(task_factory)
    first, second, went_on = loop.create_future(), loop.create_future(), asyncio.Event()
    branches = Branches()

    async def agent() -> None:
        branches.follow()
        await asyncio.create_task(code())

    async def code() -> None:
        with contextlib.suppress(ValueError):
            await body(first, second)
        went_on.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(agent())
    try:
        async with asyncio.timeout(5):
            while not branches.all_wait(WAITING.__contains__) or not WAITING:
                await asyncio.sleep(0)
            first.set_result(None)
            while not went_on.is_set():
                assert not branches.all_wait(WAITING.__contains__)
                await asyncio.sleep(0)
    finally:
        running.cancel()
        branches.end()
        await asyncio.gather(running, return_exceptions=True)


async def test_who_is_under_a_timeout_does_not_wait_until_that_is_over() -> None:
    """Those of other code are nobody's deadline, and asyncio is left as it was."""
    as_it_was = asyncio.Timeout.__aenter__, asyncio.Timeout.__aexit__
    loop = asyncio.get_running_loop()
    loop.set_task_factory(task_factory)
    under_it, behind_it = loop.create_future(), loop.create_future()
    branches = Branches()

    async def agent() -> None:
        branches.follow()
        await asyncio.create_task(code())

    async def code() -> None:
        async with asyncio.timeout(60):
            await durable(under_it)
        await durable(behind_it)

    async def turns() -> bool:
        for _ in range(20):
            await asyncio.sleep(0)
        return branches.all_wait(WAITING.__contains__)

    with timeouts_noted():
        async with asyncio.timeout(5):
            running = asyncio.create_task(agent())
            try:
                assert not await turns()
                assert WAITING
                under_it.set_result(None)
                assert await turns()
                behind_it.set_result(None)
                await running
            finally:
                running.cancel()
                branches.end()
                await asyncio.gather(running, return_exceptions=True)
    assert (asyncio.Timeout.__aenter__, asyncio.Timeout.__aexit__) == as_it_was
