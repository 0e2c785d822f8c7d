"""Tools and steps in a task that is begun again: what is done once, what is done again, and what nobody knows."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from dayshift import Context, NotPerformed, current, tool
from dayshift.agents import Effects, bind
from dayshift.agents.calling import UnrecordableResult
from dayshift.agents.failures import ReplayedError
from dayshift.agents.tools import UnknownOutcome
from dayshift.domain.effect import EffectStatus
from dayshift.domain.errors import Superseded, WrongUse
from dayshift.journal import AttemptJournal
from tests.journal.store import Store

DONE: list[tuple[str, Any]] = []


class Died(BaseException):
    """Stands for the end of the process: nobody handles it."""


@pytest.fixture(autouse=True)
def _nothing_done():
    DONE.clear()


class Task:
    """A task, attempt after attempt; each entered with a context of its own, as a worker does."""

    def __init__(self) -> None:
        self.store = Store()
        self.attempts = 0
        self.journals: list[AttemptJournal] = []
        self.told: list[bytes] = []

    async def attempt(self, work: Callable[[Context], Coroutine[Any, Any, Any]]) -> Any:
        self.attempts += 1
        journal = self.store.open(self.attempts)
        self.journals.append(journal)
        effects = Effects(journal, asyncio.get_running_loop())
        context = msgspec.structs.replace(Context.local(), attempt=self.attempts, _effects=effects, _sink=self._tell)

        async def enter() -> Any:
            bind(context)
            return await work(context)

        ended_by: BaseException | None = None
        try:
            return await asyncio.create_task(enter())
        except Exception as error:
            ended_by = error
            raise
        finally:
            await journal.settle(ended_by)

    async def _tell(self, event: bytes) -> None:
        self.told.append(event)

    async def dying(self, work: Callable[[Context], Coroutine[Any, Any, Any]]) -> None:
        """An attempt whose process dies: what it had not written is gone."""
        self.attempts += 1
        effects = Effects(self.store.open(self.attempts), asyncio.get_running_loop())
        bind(msgspec.structs.replace(Context.local(), _effects=effects))
        with pytest.raises(Died):
            await work(Context.local())


@tool(idempotent=True)
async def look_up(order: str, *, idempotency_key: str = "") -> dict:
    DONE.append((order, idempotency_key))
    return {"order": order}


def refund(dies: bool = True, **options: Any) -> Callable[..., Coroutine[Any, Any, str]]:
    """A tool that must not run twice, and whose process dies right after it has done its work the first time."""

    @tool(idempotent=False, name="refund", **options)
    async def refund(order: str, *, idempotency_key: str = "") -> str:
        DONE.append((order, idempotency_key))
        if dies and len(DONE) == 1:
            raise Died
        return f"refunded {order}"

    return refund


async def test_what_is_done_is_given_again_and_not_done_again():
    task = Task()

    async def work(_ctx):
        return [await look_up("a"), await look_up("a"), await look_up("b")]

    first = await task.attempt(work)
    assert await task.attempt(work) == first == [{"order": "a"}, {"order": "a"}, {"order": "b"}]
    assert [order for order, _ in DONE] == ["a", "a", "b"]
    keys = [key for _, key in DONE]
    assert len(set(keys)) == 3
    assert all(keys)


async def test_arguments_of_a_class_of_their_own_are_told_apart():
    class Text(str):
        __slots__ = ()

    task = Task()
    both = await task.attempt(lambda _ctx: orders(Text("a"), Text("b")))
    assert both == [{"order": "a"}, {"order": "b"}]
    assert await task.attempt(lambda _ctx: orders(Text("b"), Text("a"))) == both[::-1]
    assert len(DONE) == 2


async def orders(*names):
    return [await look_up(name) for name in names]


async def test_outside_of_a_task_a_tool_is_its_function():
    assert await look_up("a") == {"order": "a"}
    assert DONE == [("a", "")]


async def test_a_tool_whose_attempt_died_amid_it_is_not_done_again_blindly():
    task, pay = Task(), refund()
    await task.dying(lambda _ctx: pay("a"))
    for _ in range(2):
        with pytest.raises(UnknownOutcome, match="tool refund was begun in attempt"):
            await task.attempt(lambda _ctx: pay("a"))
    assert len(DONE) == 1
    [effect] = task.store.effects.values()
    assert effect.status is EffectStatus.UNKNOWN


async def test_a_tool_that_may_be_done_again_is_with_the_same_key():
    task, pay = Task(), refund(unknown="retry")
    await task.dying(lambda _ctx: pay("a"))
    assert await task.attempt(lambda _ctx: pay("a")) == "refunded a"
    assert len(DONE) == 2
    assert DONE[0] == DONE[1]


@pytest.mark.parametrize("was_performed", [True, False])
async def test_a_checker_finds_out(was_performed):
    async def check(order: str, *, idempotency_key: str = "") -> str:
        if not was_performed:
            raise NotPerformed
        return f"found {order}"

    task, pay = Task(), refund(unknown=check)
    await task.dying(lambda _ctx: pay("a"))
    expected = "found a" if was_performed else "refunded a"
    assert await task.attempt(lambda _ctx: pay("a")) == expected
    assert await task.attempt(lambda _ctx: pay("a")) == expected
    assert len(DONE) == (1 if was_performed else 2)


async def test_what_the_agent_went_on_from_is_raised_again():
    task = Task()

    @tool(idempotent=False)
    async def fails(order: str) -> None:
        DONE.append((order, ""))
        raise KeyError(order)

    async def work(_ctx):
        try:
            await fails("a")
        except KeyError as error:
            await look_up(f"instead of {error.args[0]}")
        return "survived"

    assert await task.attempt(work) == "survived"
    assert await task.attempt(work) == "survived"
    assert [order for order, _ in DONE] == ["a", "instead of a"]


async def test_an_error_that_cannot_be_made_again_is_named():
    task = Task()

    class Odd(Exception):
        def __init__(self, one: int, *, two: int) -> None:
            super().__init__(f"{one} and {two}")

    async def odd() -> None:
        raise Odd(1, two=2)

    async def work(ctx):
        try:
            await ctx.step(odd)
        except Exception as error:  # noqa: BLE001 - whatever it is, is what the test is about
            await look_up("on")
            return error

    assert isinstance(await task.attempt(work), Odd)
    replayed = await task.attempt(work)
    assert isinstance(replayed, ReplayedError)
    assert "Odd: 1 and 2" in str(replayed)


async def test_a_step_gives_the_same_type_the_first_time_and_in_a_replay():
    class Order(msgspec.Struct):
        number: int
        lines: tuple[str, ...]

    async def load(number: int, client: object) -> Order:
        DONE.append(("load", number))
        return Order(number, ("x",))

    task = Task()
    first = await task.attempt(lambda ctx: ctx.step(load, 7, object()))
    again = await task.attempt(lambda ctx: ctx.step(load, 7, object()))
    assert first == again == Order(7, ("x",))
    assert len(DONE) == 1


async def test_what_was_done_inside_of_a_step_that_is_replayed_is_not_missed():
    async def outer(order: str) -> str:
        return str(await look_up(order))

    async def work(ctx, more: int):
        await ctx.step(outer, "a")
        return [await look_up(f"new {number}") for number in range(more)]

    task = Task()
    await task.attempt(lambda ctx: work(ctx, 0))
    await task.attempt(lambda ctx: work(ctx, 2))
    assert [order for order, _ in DONE] == ["a", "new 0", "new 1"]
    assert task.journals[-1].left() == []
    assert task.journals[-1].divergences() == []


async def test_a_result_that_cannot_be_recorded_is_named_where_it_was_made():
    async def opens() -> object:
        return object()

    with pytest.raises(UnrecordableResult, match=r"step .*opens: its result cannot be recorded: .*object"):
        await Task().attempt(lambda ctx: ctx.step(opens))


async def test_values_are_given_again_once_something_was_made_of_them():
    task = Task()

    async def work(ctx):
        drawn = ctx.now(), ctx.random(), ctx.uuid()
        await look_up(str(drawn))
        return drawn

    first = await task.attempt(work)
    assert await task.attempt(work) == first
    assert len(DONE) == 1


async def test_plain_functions_do_the_same_from_their_thread():
    task = Task()

    @tool(idempotent=False)
    def pay(order: str) -> str:
        DONE.append((order, ""))
        return f"paid {order}"

    def plain(ctx: Context) -> list[Any]:
        return [pay("a"), ctx.step(len, "four"), ctx.random()]

    async def work(ctx):
        return await asyncio.to_thread(plain, ctx)

    first = await task.attempt(work)
    assert first[:2] == ["paid a", 4]
    assert (await task.attempt(work))[:2] == first[:2]
    assert len(DONE) == 1
    with pytest.raises(WrongUse, match="make it `async def`"):
        await task.attempt(_on_the_loop(pay))


def _on_the_loop(pay):
    async def work(_ctx):
        return pay("b")

    return work


async def test_an_attempt_that_was_superseded_does_nothing_more():
    task, pay = Task(), refund(dies=False)
    task.store.writes_left = 0
    with pytest.raises(Superseded):
        await task.attempt(lambda _ctx: pay("a"))
    assert DONE == [], "what cannot be written down as begun is not begun"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "idempotent"),
        ({"idempotent": "yes"}, "say whether"),
        ({"idempotent": True, "unknown": "maybe"}, "say 'fail'"),
    ],
)
def test_a_tool_must_say_what_it_is(options, said):
    with pytest.raises(WrongUse, match=said):
        tool(**options)(look_up)


def test_a_tool_without_a_word_is_told_what_to_say():
    with pytest.raises(WrongUse, match=r"@tool\(idempotent=True\)"):

        @tool
        def looks_up() -> None:
            """What somebody who has not read of it would write."""


async def test_what_the_stream_was_told_is_not_told_again():
    task, told = Task(), list[bytes]()

    async def work(_ctx):
        ctx = current()
        for number in (1, 2, 2):
            await ctx.emit("step", number=number)
        await look_up("a")
        await ctx.emit("after")

    task.told = told
    await task.attempt(work)
    await task.attempt(work)
    names = [(event["name"], event.get("number")) for event in map(msgspec.json.decode, told)]
    assert names == [("step", 1), ("step", 2), ("step", 2), ("after", None), ("after", None)]


async def test_branches_are_told_apart_whichever_comes_first():
    task = Task()

    async def ask(who: str) -> str:
        DONE.append(("ask", who))
        return f"answer {len(DONE)}"

    async def branch(ctx, delay: float):
        await asyncio.sleep(delay)
        return await ctx.step(ask, "the same")

    async def work(ctx, *delays):
        return await ctx.gather(*(branch(ctx, delay) for delay in delays), ctx.step(ask, "the same"))

    first = await task.attempt(lambda ctx: work(ctx, 0.02, 0.0))
    again = await task.attempt(lambda ctx: work(ctx, 0.0, 0.02))
    assert first == again == ["answer 3", "answer 2", "answer 1"]
    assert len(DONE) == 3


async def test_a_branch_that_fails_ends_the_others():
    task, ended = Task(), []

    async def waits():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("waits")

    async def fails():
        await asyncio.sleep(0)
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        await task.attempt(lambda ctx: ctx.gather(waits(), fails()))
    assert ended == ["waits"]


async def test_gather_raises_what_failed_first_and_not_what_that_led_to():
    task = Task()

    async def breaks_when_cancelled():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError("while it was cancelled") from None

    async def fails():
        await asyncio.sleep(0)
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        await task.attempt(lambda ctx: ctx.gather(breaks_when_cancelled(), fails()))


async def test_gather_of_nothing_is_nothing():
    assert await Task().attempt(lambda ctx: ctx.gather()) == []
