"""The way in: which agent is asked, and the SDK, which is imported when the first one asks.

It is an extra (`dayshift[a2a]`), and takes a third of a second and 28 MB: a gateway that nobody speaks A2A to has none of it.
"""

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any

from dayshift.domain.errors import InvalidInput
from dayshift.domain.settings import Settings
from dayshift.gateway.problems import HttpError
from dayshift.gateway.replies import Answer
from dayshift.gateway.request import Request
from dayshift.gateway.routes import Handler
from dayshift.ledger import AgentRow
from dayshift.tasks.services import Services

_INSTALL = "this gateway does not speak A2A: install dayshift[a2a] beside it"


class A2aDoor:
    def __init__(self, services: Services, settings: Callable[[], Settings]) -> None:
        self._services = services
        self._settings = settings
        self._loading: asyncio.Task[Any] | None = None

    async def card(self, request: Request) -> Answer:
        """The card of the agent in the path."""
        module = await self._module()
        answer: Answer = module.card_reply(await self._agent(request.params["agent"]), request)
        return answer

    async def default_card(self, request: Request) -> Answer:
        """The card of the agent that the settings name, or of the only one."""
        module = await self._module()
        answer: Answer = module.card_reply(await self._default_agent(), request)
        return answer

    async def rpc(self, request: Request) -> Answer:
        """JSON-RPC."""
        module = await self._module()
        answer: Answer = await module.bindings.rpc(module.call(request, await self._agent(request.params["agent"])))
        return answer

    def rest(self, operation: str) -> Handler:
        """One operation of HTTP+JSON."""

        async def answer(request: Request) -> Answer:
            module = await self._module()
            agent = await self._agent(request.params["agent"])
            said: Answer = await module.bindings.rest(module.call(request, agent), operation)
            return said

        return answer

    async def _agent(self, name: str) -> AgentRow:
        try:
            return await self._services.agents_known.find(name)
        except InvalidInput as unknown:
            raise HttpError(404, unknown.code, "there is no agent of that name") from None

    async def _default_agent(self) -> AgentRow:
        name = self._settings().gateway.default_agent
        if name is not None:
            return await self._agent(name)
        agents = await self._services.ledger.registry.all()
        if len(agents) != 1:
            raise HttpError(
                404,
                "no_default_agent",
                "several agents are registered, or none: set gateway.default_agent, or ask for /a2a/AGENT/.well-known/agent-card.json",
            )
        return agents[0]

    async def _module(self) -> "_Parts":
        """Loaded once, in a thread: other requests go on meanwhile."""
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self._load))
        try:
            parts: _Parts = await asyncio.shield(self._loading)
        except ModuleNotFoundError as missing:
            self._loading = None
            if (missing.name or "").partition(".")[0] == "dayshift":
                raise
            raise HttpError(501, "not_installed", _INSTALL) from None
        return parts

    def _load(self) -> "_Parts":
        package = __package__
        cards, calls = import_module(f"{package}.cards"), import_module(f"{package}.calls")
        handler = import_module(f"{package}.handler").TaskHandler(self._services, self._settings)
        bindings = import_module(f"{package}.bindings").Bindings(
            handler, lambda: self._settings().gateway.max_body_bytes
        )
        return _Parts(cards.card_reply, calls.Call, bindings)


class _Parts:
    """What is there once the SDK is."""

    def __init__(self, card_reply: Callable[..., Any], call: Callable[..., Any], bindings: Any) -> None:
        self.card_reply = card_reply
        self.call = call
        self.bindings = bindings
