"""The official SDK clients, made from the environment by the SDKs themselves, shared by the tasks of an event loop; and a
plain HTTP client, for a provider's API that is called without its SDK.

There are a few of each and not one, because an HTTP client searches its pool of connections from end to end: 1,000 tasks
with a call each cost 5.5 ms of CPU a call through one client and 2.9 ms through sixteen. A task always gets the same.

The SDKs are imported on first use: an agent that calls no provider needs none of them.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from dayshift.domain.errors import WrongUse

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from httpx2 import AsyncClient
    from openai import AsyncOpenAI

Client = TypeVar("Client")
_Clients = WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, Client]]

CLIENTS = 16
ANSWER_SECONDS, CONNECT_SECONDS = 600.0, 5.0  # as the SDKs have it
MOST_CONNECTIONS = 1_000

_openai_clients: "_Clients[AsyncOpenAI]" = WeakKeyDictionary()
_anthropic_clients: "_Clients[AsyncAnthropic]" = WeakKeyDictionary()
_http_clients: "_Clients[AsyncClient]" = WeakKeyDictionary()


def openai(task_id: str) -> "AsyncOpenAI":
    """The `openai.AsyncOpenAI` for this task."""
    return _shared(_openai_clients, task_id, _make_openai)


def anthropic(task_id: str) -> "AsyncAnthropic":
    """The `anthropic.AsyncAnthropic` for this task."""
    return _shared(_anthropic_clients, task_id, _make_anthropic)


def http(task_id: str) -> "AsyncClient":
    """The `httpx2.AsyncClient` for this task."""
    return _shared(_http_clients, task_id, _make_http)


async def close_clients() -> None:
    """Close the connections of the running event loop's clients."""
    loop = asyncio.get_running_loop()
    for client in _openai_clients.pop(loop, {}).values():
        await client.close()
    for other in _anthropic_clients.pop(loop, {}).values():
        await other.close()
    for plain in _http_clients.pop(loop, {}).values():
        await plain.aclose()


def _shared(clients: "_Clients[Client]", task_id: str, make: Callable[[], Client]) -> Client:
    """A client's connections belong to one loop; a plain function has none, and gets a client of its own."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return make()
    of_loop = clients.setdefault(loop, {})
    number = hash(task_id) % CLIENTS
    if number not in of_loop:
        of_loop[number] = make()
    return of_loop[number]


def _make_openai() -> "AsyncOpenAI":
    try:
        from openai import AsyncOpenAI, OpenAIError
    except ImportError as error:
        raise _missing("ctx.openai()", "openai", error) from error
    try:
        return AsyncOpenAI()
    except OpenAIError as error:
        raise WrongUse(f"ctx.openai(): {error}") from error


def _make_anthropic() -> "AsyncAnthropic":
    try:
        from anthropic import AnthropicError, AsyncAnthropic
    except ImportError as error:
        raise _missing("ctx.anthropic()", "anthropic", error) from error
    try:
        return AsyncAnthropic()
    except AnthropicError as error:
        raise WrongUse(f"ctx.anthropic(): {error}") from error


def _make_http() -> "AsyncClient":
    from httpx2 import AsyncClient, Limits, Timeout

    return AsyncClient(
        timeout=Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS), limits=Limits(max_connections=MOST_CONNECTIONS)
    )


def _missing(call: str, package: str, error: ImportError) -> WrongUse:
    return WrongUse(f"{call} needs the package {package} ({error}); install it with `pip install {package}`")
