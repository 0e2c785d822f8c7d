"""The frameworks in their plain forms: agents that are plain functions, nodes and tools that run in threads, loops of their own."""

import sys
from typing import Any

from agents import Runner
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from dayshift import agent, tool
from tests.frameworks.examples import FOLDER

sys.path.append(str(FOLDER))

import shop
from checks import find_refund
from openai_agents import front_desk
from pydantic_agent import desk


def find_refund_plainly(order_id: str, amount_cents: int) -> str:
    try:
        find_refund(order_id, amount_cents).send(None)
    except StopIteration as found:
        return found.value
    raise AssertionError


@tool(idempotent=True)
def find_order(order_id: str) -> dict[str, Any]:
    """Look up an order."""
    return shop.find_order(order_id)


@tool(idempotent=True)
def check_stock(item: str) -> int:
    """How many of an item are there?"""
    return shop.check_stock(item)


@tool(idempotent=False, unknown=find_refund_plainly)
def refund(order_id: str, amount_cents: int) -> str:
    """Pay back money of an order."""
    return shop.refund(order_id, amount_cents)


@tool(idempotent=True)
def reserve(order_id: str, item: str) -> str:
    """Put an item aside for an order."""
    return shop.reserve(order_id, item)


TOOLS = [find_order, check_stock, refund, reserve]
model = ChatOpenAI(model="gpt-4.1-mini", temperature=0).bind_tools(TOOLS)


def llm_call(state: MessagesState) -> dict[str, Any]:
    return {"messages": [model.invoke([SystemMessage(shop.INSTRUCTIONS), *state["messages"]])]}


builder = StateGraph(MessagesState)
builder.add_node("llm_call", llm_call)
builder.add_node("tools", ToolNode(TOOLS))
builder.add_edge(START, "llm_call")
builder.add_conditional_edges("llm_call", tools_condition)
builder.add_edge("tools", "llm_call")
graph = builder.compile()


@agent
def plain_graph(question: str) -> str:
    return graph.invoke({"messages": [HumanMessage(question)]})["messages"][-1].text


@agent
async def graph_of_plain_nodes(question: str) -> str:
    return (await graph.ainvoke({"messages": [HumanMessage(question)]}))["messages"][-1].text


@agent
def plain_desk(question: str) -> str:
    return desk.run_sync(question).output


@agent
def plain_front_desk(question: str) -> str:
    return Runner.run_sync(front_desk, question).final_output
