"""The LLM calls of every peer's agents: the official SDK, no retries of its own, 16 clients shared by all tasks.

One client's connection pool is searched linearly, so a thousand open calls cost less spread over several; dayshift's
`ctx.openai()` shares its clients in the same way.
"""

import functools
import os
from typing import Any

MODEL = "fake"
CLIENTS = 16
TIMEOUT_SECONDS = 120.0  # for connecting too: a thousand connections at once may take a busy machine its time


def base_url() -> str:
    """The commandable provider, as an OpenAI client names it."""
    return os.environ["PROVIDER_URL"] + "/v1"


def messages(agent: int, turn: int) -> list[Any]:
    """What a call asks: the same for the same agent and turn, so that the provider can tell a repeat."""
    return [{"role": "user", "content": f"agent {agent} turn {turn}"}]


@functools.cache
def _async_client(_share: int) -> Any:
    from openai import AsyncOpenAI

    return AsyncOpenAI(base_url=base_url(), api_key="fake", max_retries=0, timeout=TIMEOUT_SECONDS)


@functools.cache
def _sync_client(_share: int) -> Any:
    from openai import OpenAI

    return OpenAI(base_url=base_url(), api_key="fake", max_retries=0, timeout=TIMEOUT_SECONDS)


def prepare() -> None:
    """Make the clients before the first task, as a program does at import."""
    for share in range(CLIENTS):
        _async_client(share)


def prepare_blocking() -> None:
    """Likewise, for plain functions."""
    for share in range(CLIENTS):
        _sync_client(share)


async def call(agent: int, turn: int) -> str:
    """One call, awaited."""
    client = _async_client(agent % CLIENTS)
    answer = await client.chat.completions.create(model=MODEL, messages=messages(agent, turn))
    return str(answer.choices[0].message.content)


def call_blocking(agent: int, turn: int) -> str:
    """One call, for peers whose tasks are plain functions."""
    client = _sync_client(agent % CLIENTS)
    answer = client.chat.completions.create(model=MODEL, messages=messages(agent, turn))
    return str(answer.choices[0].message.content)
