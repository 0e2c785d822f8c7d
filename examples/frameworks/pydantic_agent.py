"""A tool-using agent in the form of Pydantic AI's own documentation.

    dayshift run examples/frameworks/pydantic_agent.py

The lines of dayshift are its import, `@agent`, and `@tool`. Without them it is the same program, which forgets what it has done.
"""

import asyncio
from typing import Any

import shop
from checks import find_refund
from pydantic_ai import Agent, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta

from dayshift import agent, tool

desk = Agent("openai:gpt-5-mini", instructions=shop.INSTRUCTIONS)


@desk.tool_plain
@tool(idempotent=True)
async def find_order(order_id: str) -> dict[str, Any]:
    """Look up an order."""
    return shop.find_order(order_id)


@desk.tool_plain
@tool(idempotent=True)
async def check_stock(item: str) -> int:
    """How many of an item are there?"""
    return shop.check_stock(item)


@desk.tool_plain
@tool(idempotent=False, unknown=find_refund)
async def refund(order_id: str, amount_cents: int) -> str:
    """Pay back money of an order."""
    return shop.refund(order_id, amount_cents)


@desk.tool_plain
@tool(idempotent=True)
async def reserve(order_id: str, item: str) -> str:
    """Put an item aside for an order."""
    return shop.reserve(order_id, item)


@agent
async def helpdesk(question: str, stream: bool = False) -> str:
    if not stream:
        return (await desk.run(question)).output
    async with desk.run_stream_events(question) as events:
        async for event in events:
            if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                print(event.part.content, end="", flush=True)
            elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                print(event.delta.content_delta, end="", flush=True)
    return event.result.output


if __name__ == "__main__":
    print(asyncio.run(helpdesk(shop.QUESTION)))
