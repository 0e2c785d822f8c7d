"""Which code may go on with a task: what workers claim tasks by.

A task is claimed by the name of its agent: any worker that has the agent may run it. Once a task of a pinned agent
(`@agent(pin=True)`) has started, it is claimed by AGENT@VERSION, which only workers of that code version ask for. The ledger
keeps this name with the task from that start on (`claimed_as`), and the hot plane knows nothing else: what it calls an agent
is what a worker claims by. So a name is made here, and nowhere else.
"""

from urllib.parse import quote

_SEPARATOR = "@"  # no agent's name holds it


def pinned_name(agent: str, version: str) -> str:
    """What only workers of this version claim by. It holds no white space, whatever the version does."""
    return f"{agent}{_SEPARATOR}{quote(version, safe='')}"


def agent_in(claimed_as: str) -> str:
    """The agent that is claimed by this name."""
    return claimed_as.partition(_SEPARATOR)[0]
