"""dayshift takes an AI agent that works on a laptop and runs it in production."""

from dayshift.agents import (
    Breaker,
    ChildFailed,
    Context,
    Fatal,
    NotPerformed,
    Retry,
    ToolUnavailable,
    agent,
    current,
    tool,
)
from dayshift.client import Client, TaskFailed

__all__ = [
    "Breaker",
    "ChildFailed",
    "Client",
    "Context",
    "Fatal",
    "NotPerformed",
    "Retry",
    "TaskFailed",
    "ToolUnavailable",
    "agent",
    "current",
    "tool",
]
