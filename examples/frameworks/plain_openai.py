"""A tool-using agent on the plain `openai` client, in the form of OpenAI's own guide to function calling.

    dayshift run examples/frameworks/plain_openai.py

The lines of dayshift are its import, `@agent`, and `@tool`. Without them it is the same program, which forgets what it has done.
"""

import asyncio
import json
from typing import Any

import shop
from checks import find_refund
from openai import AsyncOpenAI

from dayshift import agent, tool

MODEL = "gpt-5-mini"
client = AsyncOpenAI()


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


def function(name: str, description: str, **parameters: str) -> dict[str, Any]:
    properties = {parameter: {"type": kind} for parameter, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": schema, "strict": True},
    }


TOOLS = [
    function("find_order", "Look up an order.", order_id="string"),
    function("check_stock", "How many of an item are there?", item="string"),
    function("refund", "Pay back money of an order.", order_id="string", amount_cents="integer"),
    function("reserve", "Put an item aside for an order.", order_id="string", item="string"),
]
FUNCTIONS = {"find_order": find_order, "check_stock": check_stock, "refund": refund, "reserve": reserve}


async def ask(messages: list[Any], stream: bool) -> Any:
    if not stream:
        completion = await client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        return completion.choices[0].message
    async with client.chat.completions.stream(model=MODEL, messages=messages, tools=TOOLS) as events:
        async for event in events:
            if event.type == "content.delta":
                print(event.delta, end="", flush=True)
        return (await events.get_final_completion()).choices[0].message


@agent
async def helpdesk(question: str, stream: bool = False) -> str:
    messages: list[Any] = [
        {"role": "system", "content": shop.INSTRUCTIONS},
        {"role": "user", "content": question},
    ]
    while True:
        message = await ask(messages, stream)
        if not message.tool_calls:
            return message.content
        messages.append(message.to_dict())
        for call in message.tool_calls:
            result = await FUNCTIONS[call.function.name](**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})


if __name__ == "__main__":
    print(asyncio.run(helpdesk(shop.QUESTION)))
