"""One call of an A2A client: whose it is, to which agent, and what its answer says beside the message."""

from typing import cast

from a2a.server.context import ServerCallContext

from dayshift.gateway.auth import require
from dayshift.gateway.request import Request
from dayshift.ledger import AgentRow

_CALL = "dayshift"


class Call:
    """`headers` are added to the answer. The agent is the one in the URL."""

    def __init__(self, request: Request, agent: AgentRow) -> None:
        self.request = request
        self.agent = agent
        self.headers: list[tuple[bytes, bytes]] = []

    @property
    def tenant(self) -> str:
        return self.request.tenant

    def context(self) -> ServerCallContext:
        """As the SDK's handlers are given it."""
        return ServerCallContext(state={_CALL: self})

    def needs(self, scope: str) -> None:
        """Raise HttpError (403) unless the caller's key reaches that."""
        require(self.request.caller, scope)


def call_of(context: ServerCallContext) -> Call:
    return cast("Call", context.state[_CALL])
