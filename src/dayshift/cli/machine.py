"""The engines that a machine's own commands work on: those given by URL, else those that run on the data folder."""

import asyncio
import contextlib
import getpass
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from dayshift.config import Config
from dayshift.domain.errors import DayshiftError, WrongUse

if TYPE_CHECKING:
    from dayshift.ledger import Ledger

Answer = TypeVar("Answer")

SCHEMA_CURE = "run `dayshift migrate` first"


def located(config: Config) -> Config:
    """The configuration with the URLs of embedded engines where none is given. What is not there stays None."""
    from dayshift.embedded import running_engines

    if config.database_url and config.valkey_url:
        return config
    running = running_engines(config.data_dir) or {}
    return msgspec.structs.replace(
        config,
        database_url=config.database_url or running.get("database_url"),
        valkey_url=config.valkey_url or running.get("valkey_url"),
    )


def on_ledger(work: "Callable[[Ledger], Awaitable[Answer]]", *, schema_must_fit: bool = True) -> Answer:
    """Run `work` on this machine's ledger. Raises `WrongUse` with the cure when there is none, or its schema is old."""
    from dayshift.ledger import Ledger

    async def run() -> Answer:
        async with Ledger(_database_url(), pool_size=2) as ledger:
            if schema_must_fit and await ledger.schema_state() == "behind":
                raise WrongUse(f"The database's schema is older than this code: {SCHEMA_CURE}.", code="schema_behind")
            return await work(ledger)

    return asyncio.run(run())


def change_ledger(work: "Callable[[Ledger], Awaitable[Answer]]") -> Answer:
    """Like `on_ledger`, and then tell every process to look at once: a new key should open the door when it is printed.

    They look each second anyway, so a Valkey that does not answer is no error here.
    """
    answer = on_ledger(work)
    with contextlib.suppress(DayshiftError):
        asyncio.run(_say_look())
    return answer


async def _say_look() -> None:
    from dayshift.hotplane import Plane, channels

    url = located(Config.from_env()).valkey_url
    if url is None:
        return
    plane = Plane(url)
    try:
        await plane.open()
        await plane.publish(channels.ALL, "look")
    finally:
        await plane.close()


def who() -> str:
    """Who works at this terminal, for the history: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run a uid that has no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _database_url() -> str:
    config = located(Config.from_env())
    if config.database_url is None:
        raise WrongUse(
            f"No PostgreSQL: DAYSHIFT_DATABASE_URL is not set, and nothing runs on {config.data_dir} (DAYSHIFT_DATA). "
            "Set the URL, or start `dayshift run FILE` and repeat this in the same folder.",
            code="no_engines",
        )
    return config.database_url
