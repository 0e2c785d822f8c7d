"""What the author of an agent sees: `@agent`, the context, and the errors; and how a worker reads an author's file."""

from dayshift.agents.breaking import Breaker, ToolUnavailable
from dayshift.agents.context import Context, EmitSink, ReadFlag, bind, current
from dayshift.agents.conversation import Conversation, ReadHistory
from dayshift.agents.declaration import agent
from dayshift.agents.effects import Effects
from dayshift.agents.errors import Fatal, Retry
from dayshift.agents.failures import encode_failure
from dayshift.agents.llm_calls import StraightLine
from dayshift.agents.loading import LoadedAgents, load
from dayshift.agents.model_use import asks_for_model
from dayshift.agents.registered import Agent
from dayshift.agents.sdk import close_clients
from dayshift.agents.tools import NotPerformed, UnknownOutcome, tool
from dayshift.agents.usage import CallMeter
from dayshift.agents.values import Unencodable
from dayshift.agents.waiting import ChildFailed

__all__ = [
    "Agent",
    "Breaker",
    "CallMeter",
    "ChildFailed",
    "Context",
    "Conversation",
    "Effects",
    "EmitSink",
    "Fatal",
    "LoadedAgents",
    "NotPerformed",
    "ReadFlag",
    "ReadHistory",
    "Retry",
    "StraightLine",
    "ToolUnavailable",
    "Unencodable",
    "UnknownOutcome",
    "agent",
    "asks_for_model",
    "bind",
    "close_clients",
    "current",
    "encode_failure",
    "load",
    "tool",
]
