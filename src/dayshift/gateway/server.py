"""Serves the door on a listening socket that somebody else made, and leaves in named stages.

    serving ──draining is set──▶ closing: the door says `Connection: close`, nothing new is accepted here (another
    gateway accepts from the same socket), waits and streams end with a hint
            ──no connection left, or LINGER──▶ ending: idle connections are closed, open requests get the grace
            ──▶ stopped

The linger is what makes a rolling restart unseen: an idle keep-alive connection that is closed at once may already carry
the next request, which its client would have to count as failed.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from dayshift.domain import clock
from dayshift.gateway.drain import Drain
from dayshift.gateway.protocol import GuardedProtocol

LINGER_SECONDS = 2.0
IDLE_SECONDS = 75  # longer than proxies keep theirs, so that they are the ones who close
_LOOK_SECONDS = 0.05


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: this process's lifecycle owns the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    drain: Drain,
    *,
    draining: asyncio.Event,
    stopping_hard: asyncio.Event,
    grace_seconds: float,
    tls: ssl.SSLContext | None = None,
    trusted_proxies: Sequence[str] = (),
) -> None:
    """Serve until `draining` is set, then leave within about `grace_seconds`; at once when `stopping_hard` is set.

    Without `tls` it speaks plain HTTP. `trusted_proxies`: addresses and networks whose word on who calls, and how, counts.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # the supervisor says when a gateway comes and goes
    config = uvicorn.Config(
        app,
        loop="none",
        http=GuardedProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=max(1, int(grace_seconds - LINGER_SECONDS)),
        backlog=4096,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")
    leaving = asyncio.create_task(draining.wait(), name="wait for drain")
    await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
    leaving.cancel()
    if not serving.done():
        drain.begin()
        for accepting in server.servers:
            accepting.close()
        hurrying = asyncio.create_task(_hurry(server, stopping_hard), name="hurry")
        await _linger(server, stopping_hard)
        server.should_exit = True
        await serving
        hurrying.cancel()
    await serving


async def _linger(server: uvicorn.Server, stopping_hard: asyncio.Event) -> None:
    until = clock.monotonic_seconds() + LINGER_SECONDS
    # Looked at, as uvicorn has no event for the end of the last connection.
    while server.server_state.connections and clock.monotonic_seconds() < until and not stopping_hard.is_set():  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)


async def _hurry(server: uvicorn.Server, stopping_hard: asyncio.Event) -> None:
    await stopping_hard.wait()
    server.force_exit = True
