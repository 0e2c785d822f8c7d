"""Agents that catch whatever they are handed and go on, as frameworks do; each act leaves a line."""

import asyncio
from pathlib import Path

from openai import AsyncOpenAI, OpenAI

from dayshift import Context, Retry, agent, tool


def note(log: str, line: str) -> None:
    with Path(log).open("a") as file:
        file.write(line + "\n")


@tool(idempotent=False)
async def pay(log: str) -> str:
    note(log, "paid")
    raise KeyboardInterrupt  # the attempt ends amid the tool, as with the end of its process


@tool(idempotent=False)
async def pays_slowly(log: str) -> str:
    note(log, "paid")
    await asyncio.sleep(60)  # in which the process is killed
    return "receipt 7"


@agent
async def pays(log: str) -> str:
    note(log, "begins")
    return await pays_slowly(log)


async def ask(question: str, **more: object) -> str:
    async with AsyncOpenAI() as client:
        return (await client.responses.create(model="m", input=question, **more)).output_text


@agent
async def pays_and_goes_on(log: str) -> str:
    try:
        await pay(log)
    except Exception as error:  # noqa: BLE001 - stands for a framework
        note(log, f"told: {type(error).__name__}")
    try:
        await ask("what now?")
    except Exception:  # noqa: BLE001 - as above
        note(log, "could not ask")
    return "as if nothing had happened"


@agent(strict=True)
async def differs_and_goes_on(ctx: Context, log: str) -> str:
    try:
        await ask(f"attempt {ctx.attempt}")
    except Exception:  # noqa: BLE001 - as above
        note(log, "could not ask")
        return "as if nothing had happened"
    raise ValueError("once more")


@agent
async def adds_to_a_conversation(log: str) -> str:
    note(log, "asks")
    return await ask("and?", conversation="conv_1")


@agent
async def leaves_while_it_is_recorded(ctx: Context, log: str) -> str:
    """Gives up on an answer that has come, and is being written down."""
    try:
        async with asyncio.timeout(0.5):
            await ask("slow to write")
    except TimeoutError:
        note(log, "left")
    if ctx.attempt == 1:
        raise ValueError("once more")
    return await ask("slow to write")


@agent
async def fails_amid_a_stream(ctx: Context) -> str:
    said = ""
    async with AsyncOpenAI() as client:
        chunks = await client.responses.create(model="m", input="in short", stream=True)
        async for chunk in chunks:
            if chunk.type == "response.output_text.delta":
                said += chunk.delta
                if ctx.attempt == 1:
                    raise Retry(after=0)
    return said


@agent
async def leaves_a_stream(ctx: Context) -> str:
    async with AsyncOpenAI() as client:
        async with await client.responses.create(model="m", input="in short", stream=True) as chunks:
            async for chunk in chunks:
                if chunk.type == "response.output_text.delta":
                    said = chunk.delta
                    break
        answer = await client.responses.create(model="m", input=f"go on after {said}")
    if ctx.attempt == 1:
        raise Retry(after=0)
    return answer.output_text


@agent
async def asks_by_a_plain_client() -> str:
    with OpenAI() as client:
        return client.responses.create(model="m", input="in short").output_text
