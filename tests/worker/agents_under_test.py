"""Agents that do what the tests of the worker need; they meet the tests in `SEEN`, in files, or in the task's stream."""

import asyncio
import concurrent.futures
import contextlib
import os
import threading
import time
from pathlib import Path

from openai import OpenAI

from dayshift import ChildFailed, Context, Fatal, Retry, agent, current, tool

SEEN: dict[str, list[float]] = {}
RELEASE = threading.Event()
POOL = concurrent.futures.ThreadPoolExecutor(2)


def note(task_id: str) -> int:
    """How often this task has been entered in this process."""
    entries = SEEN.setdefault(task_id, [])
    entries.append(time.monotonic())
    return len(entries)


def append_line(path: str, line: str) -> None:
    with Path(path).open("a") as file:
        file.write(line + "\n")


@agent
async def echo(ctx: Context, text: str) -> str:
    await ctx.emit("echoing", length=len(text))
    return f"{ctx.tenant}:{ctx.attempt}:{text}"


@agent
def plain(text: str) -> str:
    context = current()
    context.emit("plain", text=text)
    return text.upper()


@agent(max_attempts=3)
async def fails(ctx: Context, times: int) -> int:
    if note(ctx.task_id) <= times:
        raise ValueError(f"failure {len(SEEN[ctx.task_id])}")
    return ctx.attempt


@agent
async def asks_again(ctx: Context, after: float) -> int:
    if note(ctx.task_id) == 1:
        raise Retry(after=after, message="not yet")
    return ctx.attempt


@agent
async def gives_up() -> None:
    raise Fatal("no such order")


@agent(timeout=0.2, max_attempts=2)
async def too_slow(ctx: Context) -> None:
    note(ctx.task_id)
    await asyncio.Event().wait()


@agent
async def waits(ctx: Context) -> None:
    note(ctx.task_id)
    await ctx.emit("waiting")
    await asyncio.Event().wait()


@agent
async def swallows(ctx: Context) -> None:
    note(ctx.task_id)
    await ctx.emit("waiting")
    while not RELEASE.is_set():
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue


@agent
def goes_on(ctx: Context, log: str) -> None:
    """A plain function, which nobody can cancel; it acts only while it may speak."""
    while not RELEASE.is_set():
        ctx.emit("acting")
        append_line(log, f"{ctx.attempt}")
        time.sleep(0.02)


@agent
async def blocks(ctx: Context, seconds: float) -> str:
    await ctx.emit("blocking")
    the_blocking_line(seconds)
    return "done"


def the_blocking_line(seconds: float) -> None:
    time.sleep(seconds)


@agent
async def not_json() -> float:
    return float("nan")


@agent
async def exits(ctx: Context, counter: str) -> None:
    append_line(counter, f"{os.getpid()} {ctx.attempt}")
    os._exit(9)


@agent
async def naps(ctx: Context, seconds: float, log: str = "") -> int:
    note(ctx.task_id)
    if log:
        append_line(log, f"{os.getpid()} {ctx.task_id} {ctx.attempt}")
    await asyncio.sleep(seconds)
    return os.getpid()


@agent
async def asks_model(ctx: Context, question: str) -> str | None:
    note(ctx.task_id)
    answer = await ctx.openai().chat.completions.create(model="m", messages=[{"role": "user", "content": question}])
    return answer.choices[0].message.content


@agent
async def converses(ctx: Context, turns: int, streams: bool) -> list[str]:
    """A conversation with a model, each question with all that was said before; every third turn a step in between."""
    said: list[str] = []
    messages = [{"role": "user", "content": f"begin {ctx.task_id}"}]
    for turn in range(turns):
        text = await (ask_streaming(ctx, messages) if streams else ask(ctx, messages))
        said.append(text)
        messages += [{"role": "assistant", "content": text}, {"role": "user", "content": f"and {turn}?"}]
        if turn % 3 == 2:
            messages[-1]["content"] += await ctx.step(look_up, turn)
    return said


@agent
async def reads_along(ctx: Context, fails: bool) -> str:
    """A stream, and another one of the same words; the first attempt fails before it has read the second."""
    messages = [{"role": "user", "content": "Tell me."}]
    first = await ask_streaming(ctx, messages)
    if fails and ctx.attempt == 1:
        chunks = await ctx.openai().chat.completions.create(model="m", messages=messages, stream=True)
        async for _ in chunks:
            raise Retry(after=0.01)
    return first + await ask_streaming(ctx, messages)


@agent
async def reads_a_flag(ctx: Context) -> list:
    """A flag, and a step after it, which fails the first attempt."""
    flag = ctx.flag("new_prompt", "old")
    await ctx.step(note, f"{ctx.task_id} {flag}")
    if ctx.attempt == 1:
        await ctx.emit("failing")
        raise Retry(after=0.3)
    return [flag, ctx.flag("other", {"a": 1}), ctx.flag("nothing")]


@agent
def reads_a_flag_in_a_thread(ctx: Context) -> str:
    return ctx.flag("new_prompt", "old")


@agent
async def asks_without_an_sdk(ctx: Context, fail_first: bool = True) -> str:
    """Twice the same address: a call that the journal knows, and one that it does not."""
    url, headers = os.environ["OPENAI_BASE_URL"], {"Authorization": "Bearer k"}
    body = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}
    answer = (await ctx.http().post(f"{url}/chat/completions", json=body, headers=headers)).json()
    models = (await ctx.http().get(f"{url}/models", headers=headers)).json()
    if fail_first and ctx.attempt == 1:
        raise Retry(after=0.01)
    return f"{answer['choices'][0]['message']['content']} of {models['object']}"


@agent
async def embeds(ctx: Context, texts: list[str]) -> list[list[float]]:
    """Numbers of each text, by the official client; an attempt that fails has to be given the same again."""
    made = await ctx.openai().embeddings.create(model="text-embedding-3-small", input=texts, dimensions=4)
    if ctx.attempt == 1:
        raise Retry(after=0.01)
    return [list(item.embedding) for item in made.data]


async def ask(ctx: Context, messages: list) -> str:
    answer = await ctx.openai().chat.completions.create(model="m", messages=messages)
    return answer.choices[0].message.content


async def ask_streaming(ctx: Context, messages: list) -> str:
    chunks = await ctx.openai().chat.completions.create(model="m", messages=messages, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


async def look_up(turn: int) -> str:
    await asyncio.sleep(0.01)
    return f" by the way, {turn}"


@agent
async def chats(ctx: Context, number: int) -> int:
    """Says its number, looks at what was said, and says how much that was."""
    assert ctx.conversation is not None
    await ctx.conversation.append({"role": "user", "content": number})
    history = await ctx.conversation.messages()
    await asyncio.sleep(0.05)
    await ctx.conversation.append({"role": "assistant", "content": len(history)})
    return len(history)


@agent
def chats_plainly() -> list:
    conversation = current().conversation
    assert conversation is not None
    conversation.append("hi")
    return conversation.messages()


@agent
async def sleeps(ctx: Context, seconds: float) -> int:
    note(ctx.task_id)
    await ctx.sleep(seconds)
    return ctx.attempt


@agent
def sleeps_in_a_thread(ctx: Context, seconds: float) -> int:
    note(ctx.task_id)
    ctx.sleep(seconds)
    return ctx.attempt


@agent
async def asks_leave(ctx: Context, timeout: float | None = None, times: int = 1) -> list:
    note(ctx.task_id)
    said = []
    for number in range(times):
        await ctx.emit("asking", number=number)
        try:
            said.append(await ctx.wait_for("approval", timeout))
        except TimeoutError:
            said.append("nobody came")
    return said


@agent
async def tells_that_nobody_came(ctx: Context) -> str:
    """What is made of an error must be made of it again: a prompt, say."""
    try:
        await ctx.wait_for("approval", 1.2)
    except TimeoutError as error:
        said = await ctx.step(repeat, str(error))
    if ctx.attempt < 3:
        raise Retry(after=0)
    return said


def repeat(text: str) -> str:
    return text


@agent
def waits_beside_a_job(ctx: Context, log: str) -> str:
    """A plain agent waits in its own thread and works in another one."""

    def work() -> None:
        time.sleep(1.0)
        append_line(log, "worked")

    working = POOL.submit(ctx.step, work)
    said: str = ctx.wait_for("approval")
    working.result()
    return said


@agent
async def leaves_slowly(ctx: Context) -> str:
    """Its code ends some time after it was told to."""
    try:
        return await ctx.wait_for("approval")
    except asyncio.CancelledError:
        note(ctx.task_id)
        await asyncio.sleep(1.0)
        raise


@agent
async def calls_others(ctx: Context, texts: list[str]) -> list[str]:
    note(ctx.task_id)
    return await ctx.gather(*(ctx.call(slow_echo, text) for text in texts))


@agent
async def leaves_a_child(ctx: Context) -> str:
    """Ends while another task works for it."""
    calling = asyncio.create_task(ctx.call(slow_echo, "wait"))
    await ctx.wait_for("approval")
    calling.cancel()
    return "done"


@agent
async def gives_up_on_a_child(ctx: Context) -> str:
    try:
        async with asyncio.timeout(0.3):
            return await ctx.call(slow_echo, "a")
    except TimeoutError:
        return await ctx.wait_for("approval")


@agent
async def slow_echo(ctx: Context, text: str) -> str:
    if text == "fail":
        raise Fatal("it was told to fail")
    if text == "wait":
        await asyncio.Event().wait()
    await asyncio.sleep(0.3)
    return text.upper()


@agent
async def survives_a_child(ctx: Context) -> str:
    try:
        return await ctx.call(slow_echo, text="fail")
    except ChildFailed as error:
        await ctx.sleep(1.2)
        return f"{error.error_code}: {error}"


@agent
async def waits_beside_work(ctx: Context, log: str, in_a_group: bool = False) -> str:
    note(ctx.task_id)

    async def work() -> None:
        await asyncio.sleep(0.8)
        await ctx.step(append_line, log, "worked")

    if in_a_group:
        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            waiting = group.create_task(ctx.wait_for("approval"))
        return waiting.result()
    working = asyncio.create_task(work())
    said = await ctx.wait_for("approval")
    await working
    return said


@agent(pin=True)
async def stays(ctx: Context, until: int) -> int:
    """Ends in that attempt; in those before it is stopped from outside."""
    await ctx.emit("begun")
    if ctx.attempt < until:
        await asyncio.Event().wait()
    return ctx.attempt


@agent
async def waits_once(ctx: Context) -> int:
    await ctx.emit("waiting")
    if ctx.attempt == 1:
        await asyncio.Event().wait()
    return ctx.attempt


@agent
async def naps_in_a_step(ctx: Context, seconds: float) -> None:
    await ctx.step(asyncio.sleep, seconds)


@agent(pin=True)
async def stays_and_asks(ctx: Context) -> str:
    return await ctx.wait_for("approval")


@tool(idempotent=False)
async def asks_before_it_acts() -> str:
    return await current().wait_for("approval")


@tool(idempotent=False)
def asks_before_it_acts_plainly() -> str:
    return current().wait_for("approval")


@tool(idempotent=False)
async def awaits_what_was_begun_before(asking: object) -> str:
    return await asking


@agent
async def acts_on_what_it_began_to_ask(ctx: Context) -> str:
    """The wait is a branch of its own, begun before the tool."""
    note(ctx.task_id)
    asking = asyncio.create_task(ctx.wait_for("approval"))
    return await awaits_what_was_begun_before(asking)


@agent
async def acts_with_leave(ctx: Context) -> str:
    note(ctx.task_id)
    await ctx.emit("asking")
    return await asks_before_it_acts()


@agent
def acts_with_leave_plainly(ctx: Context) -> str:
    note(ctx.task_id)
    return asks_before_it_acts_plainly()


@tool(idempotent=True, timeout=1.2)
async def asks_in_time() -> str:
    return await current().wait_for("approval")


@agent
async def waits_under_a_timeout(ctx: Context, how: str) -> str:
    note(ctx.task_id)
    try:
        match how:
            case "around a wait":
                async with asyncio.timeout(1.2):
                    return await ctx.wait_for("approval")
            case "around branches":
                async with asyncio.timeout(1.2):
                    return await asyncio.gather(ctx.wait_for("approval"))
            case "by wait_for":
                return await asyncio.wait_for(ctx.wait_for("approval"), 1.2)
            case "moved":
                async with asyncio.timeout(None) as limit:
                    limit.reschedule(asyncio.get_running_loop().time() + 1.2)
                    return await ctx.wait_for("approval")
            case _:
                return await asks_in_time()
    except TimeoutError:
        return "nobody came"


@agent
async def waits_after_timeouts(ctx: Context) -> str:
    """One was kept, one has passed: neither is around what is waited for then."""
    async with asyncio.timeout(60):
        await ctx.step(os.getpid)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
    return await ctx.wait_for("approval")


@agent
async def waits_under_an_endless_timeout(ctx: Context) -> str:
    async with asyncio.timeout(None):
        return await ctx.wait_for("approval")


@agent(max_attempts=3)
async def misuses(ctx: Context, how: str) -> None:
    match how:
        case "a time in words":
            await ctx.wait_for("x", timeout="soon")
        case "a name with a slash":
            await ctx.wait_for("a/b")
        case "no function":
            await ctx.step(5)
        case "a coroutine":
            await ctx.step(asyncio.sleep(0))
        case "numbers":
            await ctx.gather(asyncio.sleep(0), 2)
        case "a delay in words":
            raise Retry(after="soon")


@agent
async def gathers_errors(ctx: Context) -> list[str]:
    def fails() -> None:
        raise ValueError("no")

    found = await ctx.gather(ctx.step(fails), ctx.step(os.getpid), return_exceptions=True)
    return [type(one).__name__ for one in found]


async def ask_briefly(ctx: Context, text: str) -> str | None:
    """A question whose answer takes ten tokens at most."""
    messages = [{"role": "user", "content": text}]
    answer = await ctx.openai().chat.completions.create(model="m", messages=messages, max_tokens=10)
    return answer.choices[0].message.content


@agent
async def asks_often(ctx: Context, times: int) -> int:
    note(ctx.task_id)
    for n in range(times):
        await ask_briefly(ctx, f"question {n}")
    return times


@agent
def asks_often_plainly(ctx: Context, times: int) -> int:
    with OpenAI() as client:
        for n in range(times):
            messages = [{"role": "user", "content": f"question {n}"}]
            client.chat.completions.create(model="m", messages=messages, max_tokens=10)
    return times


@agent
async def asks_and_has_others_ask(ctx: Context, times: int) -> int:
    await ask_briefly(ctx, "a question of my own")
    return await ctx.call(asks_often, times)
