"""The route table: one row a route is the truth for routing, scopes, OpenAPI and the reference."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct
from starlette.routing import compile_path

from dayshift.domain.errors import DayshiftError
from dayshift.gateway.problems import HttpError, Problem, reply_to
from dayshift.gateway.replies import Answer, Reply, header
from dayshift.gateway.request import Request

Handler = Callable[[Request], Awaitable[Answer]]


class Dialect(Struct, frozen=True, kw_only=True):
    """How a route tells errors: the type of their body, and the answer for one."""

    error: type[Struct]
    reply_to: Callable[[DayshiftError], Reply]


PROBLEMS = Dialect(error=Problem, reply_to=reply_to)


class Route(Struct, frozen=True, kw_only=True):
    """One thing that can be asked for.

    `path` has `{name}` for a segment and `{name:path}` for the rest. `scope` None: no key is needed. `answers`: the
    type of the body by status (None: no body; a text: its media type; several: one of them). The first is what success looks like. `alias`: a path
    under which it is found as well, and not described.
    """

    method: str
    path: str
    handler: Handler
    scope: str | None
    summary: str
    answers: Mapping[int, Any]
    tag: str = "tasks"
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    headers: tuple[str, ...] = ()
    streams: bool = False
    alias: str | None = None
    dialect: Dialect = PROBLEMS

    @property
    def template(self) -> str:
        """The path as OpenAPI and metrics name it."""
        return self.path.replace(":path}", "}")


_ByMethod = dict[str, Route]


class Routes:
    """Finds the route of a request: exact paths by one look, the others in the order of the table."""

    def __init__(self, table: list[Route]) -> None:
        self.table = table
        self._exact: dict[str, _ByMethod] = {}
        self._patterns: list[tuple[re.Pattern[str], _ByMethod]] = []
        by_path: dict[str, _ByMethod] = {}
        for route in table:
            for path in (route.path, route.alias):
                if path is not None:
                    by_path.setdefault(path, {})[route.method] = route
        for path, methods in by_path.items():
            if "{" in path:
                self._patterns.append((compile_path(path)[0], methods))
            else:
                self._exact[path] = methods

    def find(self, request: Request) -> Route:
        """The route, with `request.params` filled in. Raises `HttpError` (404, 405)."""
        methods = self._exact.get(request.path)
        if methods is None:
            methods = self._by_pattern(request)
        route = methods.get(request.method)
        if route is None and request.method == "HEAD":
            route = methods.get("GET")
            route = None if route is not None and route.streams else route
        if route is None:
            allowed = ", ".join(_allowed(methods))
            raise HttpError(
                405,
                "method_not_allowed",
                f"{request.method} is not possible here; allowed: {allowed}",
                headers=[header("allow", allowed)],
            )
        return route

    def _by_pattern(self, request: Request) -> _ByMethod:
        if "\x00" not in request.path:
            for pattern, methods in self._patterns:
                found = pattern.match(request.path)
                if found is not None:
                    request.params = found.groupdict()
                    return methods
        raise HttpError(404, "no_such_path", "there is nothing at this path; GET /openapi.json lists what there is")


def _allowed(methods: _ByMethod) -> list[str]:
    head = ["HEAD"] if "GET" in methods and not methods["GET"].streams else []
    return sorted([*methods, *head])
