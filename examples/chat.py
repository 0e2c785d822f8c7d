"""One question, one answer of a model: `dayshift run examples/chat.py`, `dayshift submit chat '"Why is the sky blue?"' --wait`.

Without a provider's key the small local model answers, whatever model is named.
"""

import os

from dayshift import Context, agent

MODEL = os.environ.get("CHAT_MODEL", "smollm2")


@agent(timeout=120)
async def chat(ctx: Context, message: str) -> str:
    answer = await ctx.openai().chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": message}],
        max_tokens=200,
    )
    return answer.choices[0].message.content or ""
