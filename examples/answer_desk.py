"""An answer desk: drafts a short answer to a question, then gives it a title. Two calls of a model a task.

    dayshift run examples/answer_desk.py
    dayshift submit answer_desk '"Which methods did Socrates employ?"' --wait

Without a provider's key the small local model answers, whatever model is named.
"""

import os
from typing import TypedDict

from openai import AsyncOpenAI

from dayshift import Context, Fatal, agent

MODEL = os.environ.get("ANSWER_DESK_MODEL", "smollm2")


class Answer(TypedDict):
    title: str
    answer: str


@agent(timeout=150)
async def answer_desk(ctx: Context, question: str) -> Answer:
    if not question.strip():
        raise Fatal("the question is empty; send some text")
    client = ctx.openai()
    answer = await ask(client, f"Answer in two or three short sentences.\n\n{question}", max_tokens=64)
    await ctx.emit("drafted", words=len(answer.split()))
    title = await ask(client, f"Write a title of at most six words for this text.\n\n{answer}", max_tokens=16)
    return {"title": title.splitlines()[0].strip(' "*#') if title else "", "answer": answer}


async def ask(client: AsyncOpenAI, prompt: str, *, max_tokens: int) -> str:
    completion = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": prompt}],
        max_tokens=max_tokens,
        temperature=0.3,
    )
    return (completion.choices[0].message.content or "").strip()
