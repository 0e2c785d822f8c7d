"""Tells of LLM calls that pass us by: made inside a task through an HTTP library that is not captured.

Nothing is done to them. They would be made again by a later attempt, and paid for again, and nobody would know why. Two places
see nearly all that Python sends besides httpx: `http.client`, which requests, urllib3 and urllib are built on, and aiohttp.
Each call is told once a process.
"""

import http.client
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

from msgspec import Struct

from dayshift.domain.events import CallNotCaptured
from dayshift.llm.capture.addresses import Addresses, Url
from dayshift.llm.capture.core import current_recorder, is_captured
from dayshift.telemetry import emit


class _Target(Struct, frozen=True):
    scheme: str
    host: str
    port: int
    path: str


class _Watch:
    """What is told once."""

    def __init__(self, addresses: Callable[[], Addresses]) -> None:
        self._addresses = addresses
        self._told: set[tuple[str, str, str]] = set()

    def saw(self, library: str, method: str, url: Url) -> None:
        """A request is about to leave. Not ours to tell: those of no task, and those that a captured call is sent by."""
        if current_recorder() is None or is_captured() or self._addresses().call_of(method, url) is None:
            return
        call = library, url.host, url.path
        if call not in self._told:
            self._told.add(call)
            emit(CallNotCaptured(library=library, host=url.host, path=url.path))


@contextmanager
def telling_of_unseen_calls(addresses: Callable[[], Addresses]) -> Iterator[None]:
    """For as long as the block lasts."""
    watch = _Watch(addresses)
    with ExitStack() as watched:
        watched.enter_context(_watching_http_client(watch))
        if find_spec("aiohttp") is not None:
            watched.enter_context(_watching_aiohttp(watch))
        yield


@contextmanager
def _watching_http_client(watch: _Watch) -> Iterator[None]:
    put = http.client.HTTPConnection.putrequest

    def seeing(connection: Any, method: str, url: str, *arguments: Any, **named: Any) -> None:
        scheme = "https" if connection.default_port == http.client.HTTPS_PORT else "http"
        # behind a proxy the connection is the proxy's, and says in `_tunnel_host` where it goes
        host, port = getattr(connection, "_tunnel_host", None) or connection.host, connection.port
        watch.saw("http.client", method, _Target(scheme, host.lower(), port, url.partition("?")[0]))
        put(connection, method, url, *arguments, **named)

    http.client.HTTPConnection.putrequest = seeing  # type: ignore[method-assign, assignment] # undone below
    try:
        yield
    finally:
        http.client.HTTPConnection.putrequest = put  # type: ignore[method-assign] # as it was


@contextmanager
def _watching_aiohttp(watch: _Watch) -> Iterator[None]:
    import aiohttp

    kind: Any = aiohttp.ClientRequest
    send: Callable[..., Awaitable[Any]] = kind.send

    async def seeing(request: Any, *arguments: Any, **named: Any) -> Any:
        watch.saw("aiohttp", request.method, request.url)
        return await send(request, *arguments, **named)

    kind.send = seeing
    try:
        yield
    finally:
        kind.send = send
