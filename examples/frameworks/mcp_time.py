"""The tools of an MCP server, by the official client, are tools like any others: here a clock, over stdio.

    dayshift run examples/frameworks/mcp_time.py
    dayshift submit clock '"What time is it in Tokyo?"' --wait

A server says of each of its tools whether it may be called twice. What it answered is given again to a later attempt: an
agent that is killed and resumed still has the time that it was told at first.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from mcp import ClientSession, StdioServerParameters, Tool, stdio_client
from openai import AsyncOpenAI

from dayshift import agent, tool

MODEL = "gpt-5-mini"
SERVER = StdioServerParameters(command=sys.executable, args=["-m", "mcp_server_time", "--local-timezone", "UTC"])
client = AsyncOpenAI()


def as_tool(session: ClientSession, offered: Tool) -> Callable[..., Awaitable[Any]]:
    hints = offered.annotations

    @tool(name=offered.name, idempotent=hints is not None and bool(hints.read_only_hint or hints.idempotent_hint))
    async def call(**arguments: Any) -> Any:
        result = await session.call_tool(offered.name, arguments)
        if result.is_error:
            raise RuntimeError(f"{offered.name}: {result.content}")
        return result.structured_content

    return call


def described(offered: Tool) -> dict[str, Any]:
    function = {"name": offered.name, "description": offered.description, "parameters": offered.input_schema}
    return {"type": "function", "function": function}


@agent
async def clock(question: str) -> str:
    async with stdio_client(SERVER) as pipes, ClientSession(*pipes) as session:
        await session.initialize()
        offered = (await session.list_tools()).tools
        tools = {each.name: as_tool(session, each) for each in offered}
        messages: list[Any] = [{"role": "user", "content": question}]
        while True:
            completion = await client.chat.completions.create(
                model=MODEL, messages=messages, tools=[described(each) for each in offered]
            )
            message = completion.choices[0].message
            if not message.tool_calls:
                return message.content
            messages.append(message.to_dict())
            for call in message.tool_calls:
                result = await tools[call.function.name](**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})


if __name__ == "__main__":
    print(asyncio.run(clock("What time is it in Tokyo?")))
