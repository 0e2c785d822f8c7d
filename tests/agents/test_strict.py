"""A strict agent stops instead of paying again, and only then."""

import asyncio
from typing import Any

import pytest

from dayshift import Context, current, tool
from dayshift.agents import effects
from dayshift.domain.errors import Diverged
from tests.agents.test_tools import Died, Task

DONE: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_done(monkeypatch):
    DONE.clear()
    monkeypatch.setattr(effects, "PATIENCE_SECONDS", 0.3)


async def load(what: str) -> str:
    DONE.append(what)
    return what


@tool(idempotent=True)
async def look_up(what: str) -> str:
    return await load(what)


def strict() -> Task:
    task = Task()
    task.store.strict = True
    return task


@pytest.mark.parametrize("do", [lambda ctx, what: ctx.step(load, what), lambda _ctx, what: look_up(what)])
async def test_it_stops_before_it_does_something_else_instead(do):
    task = strict()
    await task.attempt(lambda ctx: do(ctx, "noon"))
    with pytest.raises(Diverged, match=r"is not what attempt 1 did .* its (what|argument 1) differs"):
        await task.attempt(lambda ctx: do(ctx, "one"))
    assert DONE == ["noon"]
    assert isinstance(task.journals[-1].stopped_by, Diverged)


async def test_it_can_do_nothing_more_whatever_it_makes_of_the_error():
    async def work(ctx: Context, what: str) -> Any:
        try:
            return await ctx.step(load, what)
        except Exception:  # noqa: BLE001 - as careless code does
            return await look_up("instead")

    task = strict()
    await task.attempt(lambda ctx: work(ctx, "noon"))
    with pytest.raises(Diverged):
        await task.attempt(lambda ctx: work(ctx, "one"))
    assert DONE == ["noon"]


async def test_what_is_new_stops_nobody():
    task = strict()
    await task.attempt(lambda ctx: ctx.step(load, "a"))

    async def goes_on(ctx: Context) -> list[str]:
        ctx.random()
        return [await ctx.step(load, what) for what in ("a", "b", "c")]

    assert await task.attempt(goes_on) == ["a", "b", "c"]


async def test_a_branch_that_died_amid_its_call_is_no_divergence_while_the_other_is_slow():
    """One of two was recorded when the attempt died; now the other one comes first."""

    async def dies(what: str) -> str:
        if task.attempts == 1:
            raise Died
        return await load(what)

    async def second() -> str:
        await asyncio.sleep(0.05 if task.attempts > 1 else 0)
        return await current().step(load, "second")

    async def first() -> str:
        await asyncio.sleep(0.05 if task.attempts == 1 else 0)
        return await current().step(dies, "first")

    async def work(_ctx: Context) -> list[str]:
        return await asyncio.gather(first(), second())

    task = strict()
    await task.dying(work)
    assert await task.attempt(work) == ["first", "second"]
    assert DONE == ["second", "first"]


async def test_from_a_plain_agents_thread():
    task = strict()

    def work(what: str):
        async def enter(ctx: Context) -> str:
            return await asyncio.to_thread(ctx.step, len, what)

        return enter

    await task.attempt(work("four"))
    with pytest.raises(Diverged):
        await task.attempt(work("fives"))
