"""The first agent. Start it with `dayshift run examples/hello.py`, ask with `dayshift submit hello '"Ada"' --wait`."""

from dayshift import Context, agent


@agent
async def hello(ctx: Context, name: str) -> str:
    await ctx.emit("greeting", whom=name)
    return f"Hello, {name}! This is attempt {ctx.attempt} of {ctx.task_id}."
