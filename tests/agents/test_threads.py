"""Plain agents, threads, and loops of their own: the same journal, whoever waits for it and however."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest

from dayshift import Context, Fatal, current, tool
from dayshift.agents.calling import UnrecordableResult
from tests.agents.test_tools import Task

DONE: list[tuple[str, int]] = []


@pytest.fixture(autouse=True)
def _nothing_done():
    DONE.clear()


@tool(idempotent=False)
def pay(order: str) -> str:
    DONE.append((order, threading.get_ident()))
    return f"paid {order}"


@tool(idempotent=True)
async def look_up(order: str) -> str:
    await asyncio.sleep(0)
    DONE.append((order, threading.get_ident()))
    return f"found {order}"


def plain_load(number: int) -> dict[str, int]:
    DONE.append((f"load {number}", threading.get_ident()))
    return {"number": number}


async def twice(task: Task, plain: Any) -> Any:
    """What a plain agent gives in two attempts, the second of which does nothing."""

    async def work(ctx: Context) -> Any:
        return await asyncio.to_thread(plain, ctx)

    first = await task.attempt(work)
    count = len(DONE)
    assert await task.attempt(work) == first
    assert len(DONE) == count, "it was all done before"
    return first


async def test_a_plain_agent_steps_and_uses_tools():
    task = Task()

    def plain(ctx: Context) -> list[Any]:
        return [ctx.step(plain_load, 7), pay("a"), pay("a"), current().step(plain_load, 8)]

    assert await twice(task, plain) == [{"number": 7}, "paid a", "paid a", {"number": 8}]
    assert [act for act, _ in DONE] == ["load 7", "a", "a", "load 8"]
    assert threading.get_ident() not in {thread for _, thread in DONE}


async def test_tools_side_by_side_in_the_threads_of_a_plain_agent():
    task = Task()

    def plain(_ctx: Context) -> list[str]:
        with ThreadPoolExecutor(4) as pool:
            begun = [pool.submit(copy_context().run, pay, f"order {number}") for number in range(12)]
            return [one.result() for one in begun]

    assert await twice(task, plain) == [f"paid order {number}" for number in range(12)]
    assert sorted(act for act, _ in DONE) == sorted(f"order {number}" for number in range(12))
    assert len(task.store.effects) == 12


async def test_async_code_on_a_loop_of_a_plain_agents_own():
    task = Task()

    async def inner(ctx: Context) -> list[Any]:
        found = await ctx.gather(look_up("a"), look_up("b"), ctx.step(plain_load, 7))
        return [*found, await ctx.with_options(timeout=5).step(look_up_slowly, "c"), pay("d")]

    async def look_up_slowly(order: str) -> str:
        return await look_up(f"{order}, slowly")

    def plain(ctx: Context) -> list[Any]:
        return asyncio.run(inner(ctx))

    assert await asyncio.wait_for(twice(task, plain), 10) == [
        "found a", "found b", {"number": 7}, "found c, slowly", "paid d",
    ]  # fmt: skip
    assert sorted(act for act, _ in DONE) == ["a", "b", "c, slowly", "d", "load 7"]
    assert task.journals[-1].left() == []


async def test_an_async_agent_hands_plain_tools_to_threads():
    task = Task()

    async def work(_ctx: Context) -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(pay, f"order {number}") for number in range(5)))

    first = await task.attempt(work)
    assert await task.attempt(work) == first
    assert len(DONE) == 5


class Opened:
    """No JSON says what it is."""


async def test_a_result_that_cannot_be_recorded_is_named_at_the_step_and_not_tried_again():
    calls = []

    def opens() -> Opened:
        calls.append("opens")
        return Opened()

    @tool(idempotent=True, retries=3)
    def opens_as_a_tool() -> Opened:
        return opens()

    def nested() -> dict[str, Any]:
        return {"fine": 1, "inside": [opens()]}

    words = r"its result cannot be recorded: .*test_threads\.Opened"
    for plain, where in (
        (lambda ctx: ctx.with_options(retries=3).step(opens), "step .*opens: "),
        (lambda _ctx: opens_as_a_tool(), "tool .*opens_as_a_tool: "),
        (lambda ctx: ctx.step(nested), "step .*nested: "),
    ):
        with pytest.raises(UnrecordableResult, match=where + words) as raised:
            await twice(Task(), plain)
        assert isinstance(raised.value, Fatal)
    assert len(calls) == 3


async def test_an_async_function_in_a_plain_agents_thread_is_named():
    with pytest.raises(Fatal, match=r"step .*look_up: an async function in a plain agent"):
        await twice(Task(), lambda ctx: ctx.step(look_up, "a"))
    assert DONE == []
