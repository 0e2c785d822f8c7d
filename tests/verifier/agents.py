"""The agents of the verifier: they do what their errand says, and leave a mark at the witness for each step."""

import asyncio
import time

from dayshift import Context, Retry, agent
from tests.verifier import witness
from tests.verifier.programs import MAX_ATTEMPTS, result_of


@agent(name="steps", timeout=60, max_attempts=MAX_ATTEMPTS)
async def steps(ctx: Context, label: str, steps: int, step_ms: int, fails: int, broken: bool) -> str:
    return await work(ctx, label, steps, step_ms, fails, broken)


@agent(name="capped", timeout=60, max_attempts=MAX_ATTEMPTS)
async def capped(ctx: Context, label: str, steps: int, step_ms: int, fails: int, broken: bool) -> str:
    """Like `steps`, and runs only so many times at once."""
    return await work(ctx, label, steps, step_ms, fails, broken)


@agent(name="plain_steps", timeout=60, max_attempts=MAX_ATTEMPTS)
def plain_steps(ctx: Context, label: str, steps: int, step_ms: int, fails: int, broken: bool) -> str:
    with witness.plain_line(ctx, label) as line:
        known = line.mark("begin")
        for step in range(steps):
            time.sleep(step_ms / 1000)
            line.mark("effect", step)
        if must_fail(known, fails, broken):
            line.mark("fail")
            fail(label)
        line.mark("end")
    return result_of(label, steps)


async def work(ctx: Context, label: str, steps: int, step_ms: int, fails: int, broken: bool) -> str:
    async with witness.line(ctx, label) as line:
        known = await line.mark("begin")
        for step in range(steps):
            await asyncio.sleep(step_ms / 1000)
            await line.mark("effect", step)
        if must_fail(known, fails, broken):
            await line.mark("fail")
            fail(label)
        await line.mark("end")
    return result_of(label, steps)


def must_fail(known: dict[str, object], fails: int, broken: bool) -> bool:
    if broken:
        return not known["mended"]
    failed = known["failed"]
    assert isinstance(failed, int)
    return failed < fails


def fail(label: str) -> None:
    """Fail in one of the ways that there are; the same errand always in the same."""
    if label.endswith(("1", "3", "5")):
        raise ValueError(f"{label} is not to succeed yet")
    raise Retry(after=0.1, message=f"{label} is not to succeed yet")
