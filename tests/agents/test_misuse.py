"""What an agent may not ask of its context: each says what to write instead, before anything is done."""

import asyncio
import math
import warnings

import pytest

from dayshift import Context, Retry, agent, tool
from dayshift.agents import gathering
from dayshift.domain.errors import WrongUse

LONG = 11 * 366 * 86_400


@agent
async def child(ctx: Context, number: int) -> int:
    return number


def plain() -> None:
    """No agent."""


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, LONG, True, "1", None])
def test_a_sleep_that_makes_no_sense(seconds):
    with pytest.raises(WrongUse, match=r"ctx\.sleep\(.*seconds must be a number from 0, at most ten years"):
        Context.local().sleep(seconds)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "text of 1-200 characters"),
        ("n" * 201, "text of 1-200 characters"),
        (None, "text of 1-200 characters"),
        (7, "text of 1-200 characters"),
        ("a/b", "leave out /"),
        (".", "leave out /"),
        ("..", "leave out /"),
        ("a\nb", "what does not print"),
        ("a\0", "what does not print"),
        ("\ud800", "what does not print"),
        ("\u200b", "what does not print"),
    ],
)
def test_a_signal_that_nobody_could_send(name, said):
    with pytest.raises(WrongUse, match=r"ctx\.wait_for") as caught:
        Context.local().wait_for(name)
    assert said in caught.value.message


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf, LONG, True, "soon"])
def test_a_time_out_that_makes_no_sense(timeout):
    with pytest.raises(WrongUse, match="seconds must be above 0, at most ten years"):
        Context.local().wait_for("approval", timeout=timeout)


@pytest.mark.parametrize("after", [-1, math.nan, math.inf, 367 * 86_400, True, "soon", [1]])
def test_a_retry_that_makes_no_sense(after):
    with pytest.raises(WrongUse, match="give seconds between 0 and"):
        Retry(after=after)


@pytest.mark.parametrize("not_an_agent", [plain, None, "child", Context])
def test_only_agents_are_called(not_an_agent):
    with pytest.raises(WrongUse, match=r"is not an agent; mark it @agent, or use ctx\.step"):
        Context.local().call(not_an_agent, 1)


@pytest.mark.parametrize("given", [5, None, "load"])
def test_a_step_is_given_a_function(given):
    with pytest.raises(WrongUse, match=r"give the function, and its arguments after it"):
        Context.local().step(given)


def test_a_step_that_is_given_a_coroutine_closes_it():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        begun = asyncio.sleep(0)
        with pytest.raises(WrongUse, match="the coroutine of sleep"):
            Context.local().step(begun)
        del begun


async def test_what_gather_cannot_await_begins_none_of_the_others_and_leaves_no_warning():
    begun = []

    async def branch() -> None:
        begun.append(1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(WrongUse, match="argument 2 is 2, which cannot be awaited"):
            await Context.local().gather(branch(), 2, branch())
    assert begun == []


async def test_gather_returns_errors_in_their_places_and_lets_all_others_end():
    ended = []

    async def fails() -> None:
        raise ValueError("no")

    async def lasts(number: int) -> int:
        for _ in range(10):
            await asyncio.sleep(0)
        ended.append(number)
        return number

    async def gives_none() -> None: ...

    found = await Context.local().gather(fails(), lasts(1), gives_none(), lasts(2), return_exceptions=True)
    assert (repr(found[0]), found[1:], ended) == ("ValueError('no')", [1, None, 2], [1, 2])


async def test_what_ends_an_attempt_is_no_result_of_a_branch():
    """A parking or a cancelling that stood among the results would be overlooked."""

    class Parked(BaseException):
        pass

    async def parks() -> None:
        raise Parked

    with pytest.raises(Parked):
        await gathering.gather(parks(), asyncio.sleep(0), return_exceptions=True)


async def test_a_gather_that_is_cancelled_ends_its_branches():
    begun, ended = asyncio.Semaphore(0), []

    async def lasts() -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    gathered = asyncio.create_task(Context.local().gather(lasts(), lasts(), return_exceptions=True))
    for _ in range(2):
        await asyncio.wait_for(begun.acquire(), 10)
    gathered.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gathered
    assert len(ended) == 2


@pytest.mark.parametrize("marked", [None, 5, int, "name"])
def test_a_bare_tool_says_what_to_write_whatever_it_marks(marked):
    with pytest.raises(WrongUse, match=r"@tool: say whether doing it twice"):
        tool(marked)


def test_a_tool_marks_functions_only():
    with pytest.raises(WrongUse, match="it marks functions only"):
        tool(idempotent=True)(type("NoFunction", (), {}))
