"""The time in a prompt: whoever begins again asks something else than before, and pays for it again.

    dayshift run examples/time_in_prompt.py
    dayshift submit briefing '"Paris"'                 kill -9 the worker amid it (`dayshift tasks show` says when it has ended), then
    dayshift explain TASK                              names the part that differs: messages[0]

`briefing` is how such an agent is often written. `cured_briefing` differs in one line: it takes the time from its context, and a
later attempt is given the same.
"""

import os
from datetime import UTC, datetime

from dayshift import Context, agent

MODEL = os.environ.get("CHAT_MODEL", "smollm2")
QUESTIONS = ("What is on today?", "What of it is free?", "Where do I begin?", "What do I take with me?")


@agent
async def briefing(ctx: Context, city: str) -> list[str]:
    return await ask_in_turn(ctx, city, datetime.now(UTC))


@agent
async def cured_briefing(ctx: Context, city: str) -> list[str]:
    return await ask_in_turn(ctx, city, ctx.now())


async def ask_in_turn(ctx: Context, city: str, now: datetime) -> list[str]:
    messages = [{"role": "system", "content": f"You are a guide to {city}. It is {now:%A, %Y-%m-%d %H:%M:%S.%f}."}]
    answers: list[str] = []
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        answer = await ctx.openai().chat.completions.create(model=MODEL, messages=messages, max_tokens=60)  # type: ignore[arg-type] # plain dicts do
        answers.append(answer.choices[0].message.content or "")
        messages.append({"role": "assistant", "content": answers[-1]})
    return answers
