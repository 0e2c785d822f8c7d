"""Two agents and a hand-off in the form of the OpenAI Agents SDK's own documentation, over its default, Responses.

    dayshift run examples/frameworks/openai_agents.py

The lines of dayshift are its import, `@agent`, and `@tool`. Without them it is the same program, which forgets what it has done.
"""

import asyncio
from typing import Any

import shop
from agents import Agent, Runner, function_tool
from checks import find_refund
from openai.types.responses import ResponseTextDeltaEvent

from dayshift import agent, tool


@function_tool
@tool(idempotent=True)
async def find_order(order_id: str) -> dict[str, Any]:
    """Look up an order."""
    return shop.find_order(order_id)


@function_tool
@tool(idempotent=True)
async def check_stock(item: str) -> int:
    """How many of an item are there?"""
    return shop.check_stock(item)


@function_tool
@tool(idempotent=False, unknown=find_refund)
async def refund(order_id: str, amount_cents: int) -> str:
    """Pay back money of an order."""
    return shop.refund(order_id, amount_cents)


@function_tool
@tool(idempotent=True)
async def reserve(order_id: str, item: str) -> str:
    """Put an item aside for an order."""
    return shop.reserve(order_id, item)


complaints = Agent(
    name="complaints",
    model="gpt-5-mini",
    instructions=shop.INSTRUCTIONS,
    handoff_description="Puts right what went wrong with an order.",
    tools=[find_order, check_stock, refund, reserve],
)
front_desk = Agent(
    name="front desk",
    model="gpt-5-mini",
    instructions="You are the front desk: hand every customer over to whoever can help.",
    handoffs=[complaints],
)


@agent
async def helpdesk(question: str, stream: bool = False) -> str:
    if not stream:
        return (await Runner.run(front_desk, question)).final_output
    result = Runner.run_streamed(front_desk, question)
    async for event in result.stream_events():
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
            print(event.data.delta, end="", flush=True)
    return result.final_output


if __name__ == "__main__":
    print(asyncio.run(helpdesk(shop.QUESTION)))
