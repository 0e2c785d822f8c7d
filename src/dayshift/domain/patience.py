"""Repeating what has to happen, for as long as a dependency is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dayshift.domain.errors import DependencyAway
from dayshift.domain.jitter import full_jitter

BACKOFF_BASE_SECONDS = 0.1
BACKOFF_CAP_SECONDS = 2.0

Answer = TypeVar("Answer")


async def until_answered(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer of `ask`, repeated with full jitter while its dependency is away. `ask` must be safe to repeat."""
    failures = 0
    while True:
        try:
            return await ask()
        except DependencyAway:
            failures += 1
            await asyncio.sleep(full_jitter(BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS, failures))
