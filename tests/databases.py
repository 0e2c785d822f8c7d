"""Databases for tests, on a PostgreSQL that is given by an administrator's URL."""

import contextlib
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from dayshift.ledger import Ledger


@contextlib.asynccontextmanager
async def a_database(admin_url: str, *, template: str | None = None) -> AsyncIterator[str]:
    """The URL of a new database, empty or the copy of another; dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    await administer(admin_url, f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
    try:
        yield named(admin_url, name)
    finally:
        await administer(admin_url, f"DROP DATABASE {name} WITH (FORCE)")


def named(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def administer(url: str, statement: str) -> None:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def migrate(url: str) -> None:
    """Give a database the schema."""
    async with Ledger(url, pool_size=1) as ledger:
        await ledger.migrate()
