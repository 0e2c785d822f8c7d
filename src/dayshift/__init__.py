"""dayshift takes an AI agent that works on a laptop and runs it in production."""

from dayshift.agents import Context, Fatal, NotPerformed, Retry, agent, current, tool

__all__ = ["Context", "Fatal", "NotPerformed", "Retry", "agent", "current", "tool"]
