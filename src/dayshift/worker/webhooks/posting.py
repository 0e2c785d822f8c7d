"""One POST over one connection to one address. The HTTP library is imported with this module, and only once there is something to tell."""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping

import httpx2

from dayshift.domain.addresses import Target
from dayshift.worker.webhooks.answers import Answer, NotConnected, Unreachable, retry_after_seconds

CONNECT_SECONDS = 5.0
BODY_BYTES = 16_384
BODY_SECONDS = 1.0
REASON_CHARACTERS = 200


def trusting_the_system() -> ssl.SSLContext:
    """What holds certificates against the system's authorities, or those that SSL_CERT_FILE names."""
    return httpx2.create_ssl_context()


async def post(target: Target, address: str, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext) -> Answer:
    """Raises Unreachable."""
    try:
        # One connection for one request: kept ones would have to be kept apart by the address that was checked.
        async with httpx2.AsyncHTTPTransport(verify=tls, trust_env=False) as transport:
            response = await transport.handle_async_request(_request(target, address, headers, body))
            try:
                await _take_off_the_line(response)
            finally:
                await response.aclose()
            return Answer(response.status_code, retry_after_seconds(response.headers.get("retry-after")))
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise NotConnected(f"it cannot be reached: {_reason(error)}") from None
    except (httpx2.TransportError, httpx2.InvalidURL, OSError) as error:
        raise Unreachable(f"it cannot be reached: {_reason(error)}") from None


def _request(target: Target, address: str, headers: Mapping[str, str], body: bytes) -> httpx2.Request:
    host = f"[{address}]" if ":" in address else address
    return httpx2.Request(
        "POST",
        f"{target.scheme}://{host}:{target.port}{target.path}",
        headers={**headers, "host": target.authority, "connection": "close"},
        content=body,
        extensions={
            "sni_hostname": target.host,
            "timeout": {"connect": CONNECT_SECONDS, "read": None, "write": None, "pool": None},
        },
    )


async def _take_off_the_line(response: httpx2.Response) -> None:
    taken = 0
    with contextlib.suppress(TimeoutError, httpx2.TransportError):
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in response.aiter_raw():
                taken += len(chunk)
                if taken >= BODY_BYTES:
                    return


def _reason(error: BaseException) -> str:
    """What the system says of a connection: no library puts the path of a URL into it."""
    text = str(error) or type(error).__name__
    return text if len(text) <= REASON_CHARACTERS else f"{text[:REASON_CHARACTERS]}..."
