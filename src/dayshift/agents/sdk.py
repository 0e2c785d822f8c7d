"""The official SDK clients, made from the environment by the SDKs themselves; one a process and event loop.

The SDKs are imported on first use: an agent that calls no provider needs none of them.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from dayshift.agents.usage import event_hooks
from dayshift.domain.errors import WrongUse

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

Client = TypeVar("Client")
_Clients = WeakKeyDictionary[asyncio.AbstractEventLoop, Client]

_openai_clients: "_Clients[AsyncOpenAI]" = WeakKeyDictionary()
_anthropic_clients: "_Clients[AsyncAnthropic]" = WeakKeyDictionary()


def openai() -> "AsyncOpenAI":
    """The shared `openai.AsyncOpenAI` of the running event loop."""
    return _shared(_openai_clients, _make_openai)


def anthropic() -> "AsyncAnthropic":
    """The shared `anthropic.AsyncAnthropic` of the running event loop."""
    return _shared(_anthropic_clients, _make_anthropic)


def _shared(clients: "_Clients[Client]", make: Callable[[], Client]) -> Client:
    """A client's connections belong to one loop; a plain function has none, and gets a client of its own."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return make()
    client = clients.get(loop)
    if client is None:
        client = clients[loop] = make()
    return client


def _make_openai() -> "AsyncOpenAI":
    try:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAIError
    except ImportError as error:
        raise _missing("ctx.openai()", "openai", error) from error
    try:
        return AsyncOpenAI(http_client=DefaultAsyncHttpxClient(event_hooks=event_hooks()))
    except OpenAIError as error:
        raise WrongUse(f"ctx.openai(): {error}") from error


def _make_anthropic() -> "AsyncAnthropic":
    try:
        from anthropic import AnthropicError, AsyncAnthropic, DefaultAsyncHttpxClient
    except ImportError as error:
        raise _missing("ctx.anthropic()", "anthropic", error) from error
    try:
        return AsyncAnthropic(http_client=DefaultAsyncHttpxClient(event_hooks=event_hooks()))
    except AnthropicError as error:
        raise WrongUse(f"ctx.anthropic(): {error}") from error


def _missing(call: str, package: str, error: ImportError) -> WrongUse:
    return WrongUse(f"{call} needs the package {package} ({error}); install it with `pip install {package}`")
