"""The door: one request in, one answer out. The main path of everything HTTP, as plain ASGI.

No framework stands between the server and a handler here, as it would cost more than the rest of the path: find the
route, take a place or refuse, decide whose request it is, check the scope, let the handler answer, send, and emit one
event.
"""

import asyncio
import traceback

from starlette.types import Receive, Scope, Send

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import DayshiftError
from dayshift.domain.events import Fault, HttpRequest
from dayshift.gateway.auth import Gatekeeper, require
from dayshift.gateway.connections import Connections
from dayshift.gateway.drain import Drain
from dayshift.gateway.envelope import enveloped, request_id
from dayshift.gateway.problems import HttpError, reply_to, the_unexpected
from dayshift.gateway.replies import Answer, Reply
from dayshift.gateway.request import Request
from dayshift.gateway.routes import Route, Routes
from dayshift.gateway.shedding import Shedding
from dayshift.telemetry import bound, emit

NO_ROUTE = "(none)"
_LEFT_UNANSWERED = (
    "this gateway had to leave before it could answer, and what was asked may have been done; ask again, with the same "
    "Idempotency-Key"
)


class Door:
    def __init__(self, routes: Routes, gatekeeper: Gatekeeper, drain: Drain, connections: Connections) -> None:
        self._routes = routes
        self._gatekeeper = gatekeeper
        self.connections = connections
        self._drain = drain
        self.shedding = Shedding()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
            return
        begun = monotonic_seconds()
        request = Request(scope, receive)
        request.id = request_id(request)
        send = enveloped(send, request.id, over_tls=scope["scheme"] == "https")
        try:
            route, answer = await self._answer(request)
            try:
                await answer.send(send, closing=self._drain.is_draining, without_body=request.method == "HEAD")
            finally:
                emit(
                    HttpRequest(
                        route=route.template if route else NO_ROUTE,
                        method=request.method,
                        status=answer.status,
                        duration_seconds=monotonic_seconds() - begun,
                    )
                )
        finally:
            request.leave()

    async def _answer(self, request: Request) -> tuple[Route | None, Answer]:
        route: Route | None = None
        try:
            route = self._routes.find(request)
            if route.scope is not None:
                request.work = self.shedding.begin(request)
                request.caller = self._gatekeeper.who_is(request)
                require(request.caller, route.scope)
                request.connections = self.connections
            return route, await route.handler(request)
        except DayshiftError as error:
            return route, _told(error, route)
        except asyncio.CancelledError:  # the server's, when the grace of a drain is over and this is still not answered
            if not self._drain.is_draining:
                raise
            return route, _told(HttpError(503, "draining", _LEFT_UNANSWERED), route)
        except Exception as error:  # noqa: BLE001 - the last wall: the client gets a problem, the operator the stack
            with bound(request_id=request.id, tenant=request.tenant, route=route.template if route else NO_ROUTE):
                emit(Fault.of("gateway.door", error, stack=traceback.format_exc()))
            return route, _told(the_unexpected(), route)
        finally:
            request.rest()


def _told(error: DayshiftError, route: Route | None) -> Reply:
    """An error in the words of the route that was asked for."""
    return reply_to(error) if route is None else route.dialect.reply_to(error)
