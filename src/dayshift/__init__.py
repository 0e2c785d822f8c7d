"""dayshift takes an AI agent that works on a laptop and runs it in production."""

from dayshift.agents import Context, Fatal, Retry, agent, current

__all__ = ["Context", "Fatal", "Retry", "agent", "current"]
