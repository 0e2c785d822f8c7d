"""The agents of the system tests. A witness file counts side effects: one line each, appended atomically."""

import asyncio
import ctypes
import os
import time

from dayshift import Context, agent


def witness(line: str) -> None:
    """Leave a line that survives this process."""
    with open(os.environ["WITNESS"], "a") as file:  # noqa: PTH123 - one write of one short line is atomic
        file.write(f"{line}\n")


@agent(name="echo")
async def echo(value: str) -> str:
    return value


@agent(name="slow", timeout=120)
async def slow(ctx: Context, seconds: float) -> int:
    witness(f"{ctx.task_id} {ctx.attempt} {time.time()}")
    await asyncio.sleep(seconds)
    return ctx.attempt


@agent(name="counts", timeout=120)
async def counts(ctx: Context, to: int) -> int:
    """Says each number, and waits for a word before the last."""
    for number in range(to - 1):
        await ctx.emit("number", number=number)
        await asyncio.sleep(0.05)
    word = await ctx.wait_for("go-on", timeout=60)
    await ctx.emit("number", number=to - 1, word=word)
    return to


@agent(name="plain_slow", timeout=120)
def plain_slow(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


@agent(name="blocks_the_loop", timeout=120)
async def blocks_the_loop(seconds: float) -> str:
    time.sleep(seconds)  # noqa: ASYNC251 - the fault that the watchdog reports
    return "woke"


@agent(name="holds_the_interpreter", timeout=120)
async def holds_the_interpreter(ctx: Context, seconds: int) -> int:
    """Holds the interpreter lock, as a catastrophic regular expression does, but for a known time; once."""
    if ctx.attempt == 1:
        ctypes.PyDLL(None).sleep(seconds)
    return ctx.attempt


@agent(name="kills_its_worker")
async def kills_its_worker(ctx: Context) -> None:
    witness(f"{ctx.task_id} {ctx.attempt} exit")
    await asyncio.sleep(0.3)
    os._exit(3)


@agent(name="says_its_turn")
async def says_its_turn(ctx: Context, turn: int) -> int:
    """One message of a conversation: leaves when it began and when it ended."""
    assert ctx.conversation is not None
    witness(f"{ctx.conversation.name} begin {turn}")
    await asyncio.sleep(0.002)
    witness(f"{ctx.conversation.name} end {turn}")
    return turn


@agent(name="fails_twice", max_attempts=4)
async def fails_twice(ctx: Context) -> int:
    if ctx.attempt <= 2:
        raise ValueError(f"not yet, this is attempt {ctx.attempt}")
    return ctx.attempt


@agent(name="asks", timeout=120)
async def asks(ctx: Context, question: str, stream: bool = False) -> str:
    client = ctx.openai()
    messages = [{"role": "user", "content": question}]
    if not stream:
        answer = await client.chat.completions.with_raw_response.create(model="smart", messages=messages)
        return answer.headers["dayshift-target"]
    async with await client.chat.completions.create(model="smart", messages=messages, stream=True) as events:
        text = "".join([event.choices[0].delta.content or "" async for event in events if event.choices])
    assert text, "a stream without a token is no answer"
    return events.response.headers["dayshift-target"]


@agent(name="asks_flagged", timeout=120)
async def asks_flagged(ctx: Context, question: str) -> dict[str, str]:
    messages = [{"role": "user", "content": question}]
    answer = await ctx.openai().chat.completions.with_raw_response.create(model="smart", messages=messages)
    return {"target": answer.headers["dayshift-target"], "tone": ctx.flag("tone", "plain")}


@agent(name="asks_for_the_same")
async def asks_for_the_same(ctx: Context, why: str) -> dict[str, str | None]:
    """The same call whatever the input, at temperature 0."""
    messages = [{"role": "user", "content": "Say hello."}]
    raw = await ctx.openai().chat.completions.with_raw_response.create(model="smart", temperature=0, messages=messages)
    told = {name: raw.headers.get(f"dayshift-{name}") for name in ("cached", "degraded")}
    return {"text": "hello" if raw.parse().choices[0].message.content else None, **told}
