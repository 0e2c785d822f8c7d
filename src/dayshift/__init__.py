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

__all__ = [
    "Breaker",
    "ChildFailed",
    "Context",
    "Fatal",
    "NotPerformed",
    "Retry",
    "ToolUnavailable",
    "agent",
    "current",
    "tool",
]
