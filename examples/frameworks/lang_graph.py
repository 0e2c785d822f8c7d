"""A tool-using graph in the form of LangGraph's own quickstart: a model, a node of tools, and edges between them.

    dayshift run examples/frameworks/lang_graph.py

The lines of dayshift are its import, `@agent`, and `@tool`. Without them it is the same program, which forgets what it has done.
"""

import asyncio
from typing import Any

import shop
from checks import find_refund
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from dayshift import agent, tool


@tool(idempotent=True)
async def find_order(order_id: str) -> dict[str, Any]:
    """Look up an order."""
    return shop.find_order(order_id)


@tool(idempotent=True)
async def check_stock(item: str) -> int:
    """How many of an item are there?"""
    return shop.check_stock(item)


@tool(idempotent=False, unknown=find_refund)
async def refund(order_id: str, amount_cents: int) -> str:
    """Pay back money of an order."""
    return shop.refund(order_id, amount_cents)


@tool(idempotent=True)
async def reserve(order_id: str, item: str) -> str:
    """Put an item aside for an order."""
    return shop.reserve(order_id, item)


TOOLS = [find_order, check_stock, refund, reserve]
model = ChatOpenAI(model="gpt-4.1-mini", temperature=0).bind_tools(TOOLS)


async def llm_call(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await model.ainvoke([SystemMessage(shop.INSTRUCTIONS), *state["messages"]])]}


builder = StateGraph(MessagesState)
builder.add_node("llm_call", llm_call)
builder.add_node("tools", ToolNode(TOOLS))
builder.add_edge(START, "llm_call")
builder.add_conditional_edges("llm_call", tools_condition)
builder.add_edge("tools", "llm_call")
graph = builder.compile()


@agent
async def helpdesk(question: str, stream: bool = False) -> str:
    state: Any = {"messages": [HumanMessage(question)]}
    if not stream:
        return (await graph.ainvoke(state))["messages"][-1].text
    async for mode, part in graph.astream(state, stream_mode=["messages", "values"]):
        if mode == "values":
            state = part
        elif isinstance(part[0], AIMessageChunk):
            print(part[0].text, end="", flush=True)
    return state["messages"][-1].text


if __name__ == "__main__":
    print(asyncio.run(helpdesk(shop.QUESTION)))
