"""A2A 1.0: agents as other agents' clients know them, over the same tasks as every other door.

    /a2a/AGENT                                   JSON-RPC (also with a slash behind), and below it HTTP+JSON
    /a2a/AGENT/.well-known/agent-card.json       the agent's card
    /.well-known/agent-card.json                 that of the agent that gateway.default_agent names, or of the only one

A task is a task and a context is a conversation: ids are the same at every door. Read `domain/a2a.py` first (a task as the
protocol shows it), then `handler` (the operations), `saying` and `inputs` (what becomes of a message), `following` and `shown`
(what a client is told), `bindings`. Only `door` and `routes` may be imported without the SDK.
"""

from dayshift.gateway.a2a.door import A2aDoor
from dayshift.gateway.a2a.routes import a2a_routes

__all__ = ["A2aDoor", "a2a_routes"]
