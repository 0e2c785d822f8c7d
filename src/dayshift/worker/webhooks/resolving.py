"""Looking names up in threads of our own.

A name server may hang for half a minute. In the event loop's few threads that would hold up everybody's look-up of a provider; and the
threads of a pool are joined when the interpreter ends, which would hold up a drained process. So each look-up has a daemon thread, and
no more than eight are under way: one that is given up keeps its place until it comes back.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from contextvars import Context

MOST = 8

Resolve = Callable[[str, int], list[str]]
"""The addresses of a host. Called in a thread; raises OSError."""


def resolve(host: str, port: int) -> list[str]:
    """By the machine's own resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Resolver:
    """Of one event loop."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._places = asyncio.Semaphore(MOST)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Raises what the look-up raises."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()

        def tell(addresses: list[str], error: Exception | None) -> None:
            self._places.release()
            if found.done():
                return
            if error is not None:
                found.set_exception(error)
            else:
                found.set_result(addresses)

        def look() -> None:
            addresses: list[str] = []
            error: Exception | None = None
            try:
                addresses = self._resolve(host, port)
            except Exception as raised:  # noqa: BLE001 - handed on to who waits
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(tell, addresses, error, context=Context())

        threading.Thread(target=look, name="webhook-resolver", daemon=True).start()
        return await found
