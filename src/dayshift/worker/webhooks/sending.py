"""One request to a stranger's address.

**The address that is connected to is the one that was checked.** A name is resolved once, here; every address that it has must be a
public one; and the connection goes to such an address, with the name only in the Host header and in TLS, where the certificate is
held against it. A name that resolves to something else a moment later (DNS rebinding) changes nothing, as nobody asks again.
Redirects are not followed: an answer that says "elsewhere" is an answer that is not 2xx.

All of it has 15 seconds. Of the answer only the status and Retry-After count; a little of its body is taken off the line, so that the
receiver can end in peace, and none of it is kept. Proxies of the environment are not asked: they would resolve the name again.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

import httpx2
from msgspec import Struct

from dayshift.domain.addresses import Target, checked_target, is_public
from dayshift.domain.clock import now
from dayshift.worker.webhooks.resolving import Resolve, Resolver, resolve

ANSWER_SECONDS = 15.0
CONNECT_SECONDS = 5.0
BODY_BYTES = 16_384
BODY_SECONDS = 1.0
LONGEST_RETRY_AFTER_SECONDS = 86_400.0


class Unreachable(Exception):
    """There was no answer. The message says why, without the path and the query of the address."""


class Answer(Struct, frozen=True):
    """What the receiver said. `retry_after_seconds`: when it asks to be called again."""

    status: int
    retry_after_seconds: float | None = None


class Sender:
    """Sends for one process. `allow_private` is asked each time, as it is a setting."""

    def __init__(
        self,
        allow_private: Callable[[], bool],
        *,
        resolve: Resolve = resolve,
        answer_seconds: float = ANSWER_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._resolver = Resolver(resolve)
        self._answer_seconds = answer_seconds
        self._tls = tls

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post it. Raises Unreachable, also when it may not go there."""
        try:
            target = checked_target(url, allow_private=self._allow_private())
        except ValueError as error:
            raise Unreachable(f"its address {error}") from None
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await self._to_first_that_connects(target, await self._addresses(target), headers, body)
        except TimeoutError:
            raise Unreachable(f"it did not answer within {self._answer_seconds:g} s") from None
        except (httpx2.TransportError, httpx2.InvalidURL, OSError) as error:
            raise Unreachable(f"it cannot be reached: {_reason(error)}") from None

    async def _addresses(self, target: Target) -> list[str]:
        try:
            addresses = await self._resolver.addresses(target.host, target.port)
        except (OSError, UnicodeError):
            raise Unreachable("its name does not resolve") from None
        if not addresses:
            raise Unreachable("its name does not resolve")
        if not self._allow_private() and not all(is_public(one) for one in addresses):
            raise Unreachable("its name resolves to a private address, and the setting webhooks.allow_private is false")
        return addresses

    async def _to_first_that_connects(
        self, target: Target, addresses: list[str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        for address in addresses[:-1]:
            with contextlib.suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
                return await self._post(target, address, headers, body)
        return await self._post(target, addresses[-1], headers, body)

    async def _post(self, target: Target, address: str, headers: Mapping[str, str], body: bytes) -> Answer:
        host = f"[{address}]" if ":" in address else address
        request = httpx2.Request(
            "POST",
            f"{target.scheme}://{host}:{target.port}{target.path}",
            headers={**headers, "host": target.authority, "connection": "close"},
            content=body,
            extensions={
                "sni_hostname": target.host,
                "timeout": {"connect": CONNECT_SECONDS, "read": None, "write": None, "pool": None},
            },
        )
        # One connection for one request: kept ones would have to be kept apart by the address that was checked.
        async with httpx2.AsyncHTTPTransport(verify=self._context(), trust_env=False) as transport:
            response = await transport.handle_async_request(request)
            try:
                await _take_off_the_line(response)
            finally:
                await response.aclose()
            return Answer(response.status_code, _retry_after_seconds(response.headers.get("retry-after")))

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = httpx2.create_ssl_context()
        return self._tls


async def _take_off_the_line(response: httpx2.Response) -> None:
    taken = 0
    with contextlib.suppress(TimeoutError, httpx2.TransportError):
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in response.aiter_raw():
                taken += len(chunk)
                if taken >= BODY_BYTES:
                    return


def _retry_after_seconds(said: str | None) -> float | None:
    """Seconds or a date, as HTTP has it; what makes no sense is as if it was not said."""
    if said is None:
        return None
    try:
        seconds = float(said) if said.strip().isdigit() else (parsedate_to_datetime(said) - now()).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _reason(error: BaseException) -> str:
    """What the system says of a connection: no library puts the path of a URL into it."""
    text = str(error) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
