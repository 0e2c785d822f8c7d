"""One request to a stranger's address.

**The address that is connected to is the one that was checked.** A name is resolved once, here; every address that it has must be a
public one; and the connection goes to such an address, with the name only in the Host header and in TLS, where the certificate is
held against it. A name that resolves to something else a moment later (DNS rebinding) changes nothing, as nobody asks again.
Redirects are not followed: an answer that says "elsewhere" is an answer that is not 2xx.

All of it has 15 seconds. Of the answer only the status and Retry-After count; a little of its body is taken off the line, so that the
receiver can end in peace, and none of it is kept. Proxies of the environment are not asked: they would resolve the name again.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Protocol, cast

from dayshift.domain.addresses import Target, checked_target, is_public
from dayshift.worker.webhooks.answers import Answer, NotConnected, Unreachable
from dayshift.worker.webhooks.resolving import Resolve, Resolver, resolve

ANSWER_SECONDS = 15.0
_POSTING = "dayshift.worker.webhooks.posting"


class _Posting(Protocol):
    """The module posting.py, which is imported when there is something to tell: it takes a tenth of a second."""

    def trusting_the_system(self) -> ssl.SSLContext: ...

    async def post(
        self, target: Target, address: str, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext
    ) -> Answer: ...


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
        self._posting: _Posting | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post it. Raises Unreachable, also when it may not go there."""
        try:
            target = checked_target(url, allow_private=self._allow_private())
        except ValueError as error:
            raise Unreachable(f"its address {error}") from None
        posting, tls = await self._prepared()
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await self._to_first_that_connects(posting, tls, target, headers, body)
        except TimeoutError:
            raise Unreachable(f"it did not answer within {self._answer_seconds:g} s") from None

    async def _to_first_that_connects(
        self, posting: _Posting, tls: ssl.SSLContext, target: Target, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        addresses = await self._addresses(target)
        for address in addresses[:-1]:
            try:
                return await posting.post(target, address, headers, body, tls)
            except NotConnected:
                continue
        return await posting.post(target, addresses[-1], headers, body, tls)

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

    async def _prepared(self) -> tuple[_Posting, ssl.SSLContext]:
        """In a thread, as tasks run beside it."""
        if self._posting is None:
            self._posting = cast("_Posting", await asyncio.to_thread(import_module, _POSTING))
        if self._tls is None:
            self._tls = await asyncio.to_thread(self._posting.trusting_the_system)
        return self._posting, self._tls
