"""Kept answers: found again, run out, and never more bytes together than they may take."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dayshift.hotplane import keys


async def bytes_kept(plane) -> int:
    names = [key async for key in _kept(plane)]
    return sum([len(await plane.kept_answer(name) or b"") + len(name) for name in names])


async def _kept(plane):
    found = await plane._state.wire.ask(b"KEYS", keys.answer("*"))
    for key in found:
        yield key.decode().removeprefix(keys.answer(""))


async def test_an_answer_is_found_until_its_time_is_over(plane):
    await plane.keep_answer("a", b"said", 0.05)
    assert await plane.kept_answer("a") == b"said"
    async with asyncio.timeout(5):
        while await plane.kept_answer("a") is not None:
            await asyncio.sleep(0.01)


async def test_the_oldest_go_when_there_are_too_many_bytes(plane):
    plane.most_answer_bytes = 40
    for name in ("a", "b", "c"):
        await plane.keep_answer(name, b"x" * 15, 60)
        await asyncio.sleep(0.002)  # the order is that of whole milliseconds
    assert [await plane.kept_answer(name) for name in ("a", "b", "c")] == [None, b"x" * 15, b"x" * 15]


async def test_one_that_is_kept_again_is_counted_once(plane):
    plane.most_answer_bytes = 40
    for _ in range(10):
        await plane.keep_answer("a", b"x" * 15, 60)
    await plane.keep_answer("b", b"y" * 15, 60)
    assert await plane.kept_answer("a") == b"x" * 15


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kept=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 50), st.sampled_from([0.001, 60])), max_size=30)
)
async def test_whatever_is_kept_and_runs_out_the_bound_holds(plane, kept):
    plane.most_answer_bytes = 100
    for name, size, seconds in kept:
        await plane.keep_answer(name, b"x" * size, seconds)
        assert await bytes_kept(plane) <= 100
