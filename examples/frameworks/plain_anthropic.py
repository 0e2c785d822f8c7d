"""A tool-using agent on the plain `anthropic` client, in the form of Anthropic's own guide to tool use.

    dayshift run examples/frameworks/plain_anthropic.py

The lines of dayshift are its import, `@agent`, and `@tool`. Without them it is the same program, which forgets what it has done.
"""

import asyncio
import json
from typing import Any

import shop
from anthropic import AsyncAnthropic
from checks import find_refund

from dayshift import agent, tool

MODEL = "claude-sonnet-4-5"
client = AsyncAnthropic()


@tool(idempotent=True)
async def find_order(order_id: str) -> dict[str, Any]:
    return shop.find_order(order_id)


@tool(idempotent=True)
async def check_stock(item: str) -> int:
    return shop.check_stock(item)


@tool(idempotent=False, unknown=find_refund)
async def refund(order_id: str, amount_cents: int) -> str:
    return shop.refund(order_id, amount_cents)


@tool(idempotent=True)
async def reserve(order_id: str, item: str) -> str:
    return shop.reserve(order_id, item)


def described(name: str, description: str, **parameters: str) -> dict[str, Any]:
    properties = {parameter: {"type": kind} for parameter, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": description, "input_schema": schema}


TOOLS = [
    described("find_order", "Look up an order.", order_id="string"),
    described("check_stock", "How many of an item are there?", item="string"),
    described("refund", "Pay back money of an order.", order_id="string", amount_cents="integer"),
    described("reserve", "Put an item aside for an order.", order_id="string", item="string"),
]
FUNCTIONS = {"find_order": find_order, "check_stock": check_stock, "refund": refund, "reserve": reserve}


async def ask(messages: list[Any], stream: bool) -> Any:
    question = {
        "model": MODEL,
        "max_tokens": 1024,
        "system": shop.INSTRUCTIONS,
        "messages": messages,
        "tools": TOOLS,
    }
    if not stream:
        return await client.messages.create(**question)
    async with client.messages.stream(**question) as events:
        async for text in events.text_stream:
            print(text, end="", flush=True)
        return await events.get_final_message()


@agent
async def helpdesk(question: str, stream: bool = False) -> str:
    messages: list[Any] = [{"role": "user", "content": question}]
    while True:
        message = await ask(messages, stream)
        if message.stop_reason != "tool_use":
            return "".join(block.text for block in message.content if block.type == "text")
        messages.append({"role": "assistant", "content": message.content})
        results = []
        for block in message.content:
            if block.type == "tool_use":
                result = await FUNCTIONS[block.name](**block.input)
                results.append({"type": "tool_result", "tool_use_id": block.id, "content": json.dumps(result)})
        messages.append({"role": "user", "content": results})


if __name__ == "__main__":
    print(asyncio.run(helpdesk(shop.QUESTION)))
