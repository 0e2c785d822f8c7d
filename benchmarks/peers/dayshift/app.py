"""dayshift's side: two agents."""

from openai import AsyncOpenAI

from benchmarks.peers import model_calls, witness
from dayshift import Context, agent

CLIENT = AsyncOpenAI  # imported with the program, as an agent's file does


@agent(name="noop")
async def noop(number: int) -> int:
    """Nothing, and its number."""
    witness.enter()
    return number


@agent(name="agent", timeout=600)
async def calling(ctx: Context, number: int, calls: int) -> int:
    """That many calls, one after another, by the client that the context gives."""
    witness.enter()
    client = ctx.openai()
    for turn in range(calls):
        await client.chat.completions.create(model=model_calls.MODEL, messages=model_calls.messages(number, turn))
    return number
