"""How a statement reaches PostgreSQL, and what every session is told first.

**Settings of a session.** A statement may take 5 s and wait 1 s for a lock. All statements of this room are made to be
answered by an index, so plans are generic (a plan for 200 array arguments over ten partitions costs more than running
it), and sequential scans, hash and merge joins are dear: a plan made while a table was nearly empty is then still right
when it has a million rows. One trap is left: a week's partition that was vacuumed while it was empty (an upgrade does that)
costs the same by any index, and a plan of that moment may walk a wrong one once it fills. So plans are thrown away
after a minute, and made again for the size the table then has. JIT is off: it pays for reports and not for look-ups.

**PgBouncer in transaction mode** (`?pgbouncer=true` in the URL). There a session belongs to one transaction only, so
nothing may be prepared and nothing be set for longer: each statement runs as BEGIN with SET LOCAL, the statement,
COMMIT. That costs two round trips more, which a group commit shares among its rows. (With PgBouncer >= 1.21 and
`max_prepared_statements` > 0 the flag may be left out, if `ignore_startup_parameters` names the settings below and the
role has them by ALTER ROLE ... SET.)

**Repeats.** Every statement of this room can be repeated after an unknown outcome; that is a rule for who writes one.
So a dead connection (a restarted server leaves a pool full of them) and a busy row are tried again here, a few times.
Batches are not: their group commit decides, as it knows the deadlines.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode

import asyncpg

from dayshift.domain.errors import LedgerAway, WrongUse
from dayshift.domain.jitter import full_jitter
from dayshift.ledger.connections import Connections
from dayshift.ledger.errors import FOREIGN, LedgerBusy, leaves_connection_unsure, translated
from dayshift.ledger.statements import SQL

STATEMENT_TIMEOUT_SECONDS = 5.0
LOCK_TIMEOUT_SECONDS = 1.0
CLIENT_TIMEOUT_SECONDS = STATEMENT_TIMEOUT_SECONDS + 1.0  # the server's own limit should speak first
CONNECT_TIMEOUT_SECONDS = 5.0
TRIES = 4
PLAN_LIFETIME_SECONDS = 60

Connection: TypeAlias = asyncpg.Connection
Rows: TypeAlias = list[asyncpg.Record]

SESSION_SETTINGS = {
    "application_name": "dayshift",
    "statement_timeout": str(int(STATEMENT_TIMEOUT_SECONDS * 1000)),
    "lock_timeout": str(int(LOCK_TIMEOUT_SECONDS * 1000)),
    "idle_in_transaction_session_timeout": "0",  # the rebuild lock is held by a transaction that does nothing
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "timezone": "UTC",
}
_LOCAL_SETTINGS = "BEGIN; " + "; ".join(
    f"SET LOCAL {name} = '{value}'" for name, value in SESSION_SETTINGS.items() if name != "application_name"
)


class Database:
    """Connections, and the ways to run a named statement on one. One call is one transaction."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self._url, self.through_pgbouncer = _split_url(url)
        self._pool_size = pool_size
        self._connections: Connections | None = None

    async def open(self) -> None:
        """Connect once, so that a wrong URL shows at once. May be called again after it failed."""
        if self._connections is not None:
            return
        connections = Connections(self._connect, self._pool_size)
        with translated():
            connections.give_back(await connections.take())
        self._connections = connections

    async def close(self) -> None:
        """Let running statements end, for a while, and disconnect. Closing twice is safe."""
        connections, self._connections = self._connections, None
        if connections is None:
            return
        try:
            async with asyncio.timeout(CLIENT_TIMEOUT_SECONDS):
                await connections.close()
        except TimeoutError:
            connections.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection, for as long as the block lasts. Driver errors leave it translated."""
        connections = self._connections
        if connections is None:
            raise WrongUse("The ledger is not open. Call `await ledger.open()` first.")
        with translated():
            connection = await self._taken(connections)
            try:
                yield connection
            except FOREIGN as error:
                if leaves_connection_unsure(error):
                    connections.distrust_all()
                raise
            except (asyncio.CancelledError, GeneratorExit):  # perhaps amid a statement, which goes on there
                connections.distrust(connection)
                raise
            finally:
                connections.give_back(connection)

    async def _taken(self, connections: Connections) -> Connection:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            return await connections.take()

    async def _connect(self) -> Connection:
        return await asyncpg.connect(
            self._url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=CLIENT_TIMEOUT_SECONDS,
            max_cacheable_statement_size=0,
            max_cached_statement_lifetime=PLAN_LIFETIME_SECONDS,
            statement_cache_size=0 if self.through_pgbouncer else 200,
            server_settings=None if self.through_pgbouncer else SESSION_SETTINGS,
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction for work that cannot be one statement."""
        async with self.connection() as connection:
            if self.through_pgbouncer:
                async with _bouncer_transaction(connection):
                    yield connection
            else:
                async with connection.transaction():
                    yield connection

    async def batch(self, name: str, *arguments: Any) -> Rows:
        """Run a statement once; the caller (a group commit) decides about repeats."""
        if self.through_pgbouncer:
            async with self.transaction() as connection:
                return await connection.fetch(SQL[name], *arguments)
        async with self.connection() as connection:
            return await connection.fetch(SQL[name], *arguments)

    async def fetch(self, name: str, *arguments: Any) -> Rows:
        """Run a statement; repeat it when its connection was dead or its rows were busy."""
        return await _repeated(partial(self.batch, name, *arguments))

    async def fetch_of_locked(self, tasks: Sequence[str], name: str, *arguments: Any) -> Rows:
        """Lock tasks, then run a statement that changes them as they are then; repeated like `fetch`."""
        return await _repeated(partial(self._batch_of_locked, tasks, name, *arguments))

    async def _batch_of_locked(self, tasks: Sequence[str], name: str, *arguments: Any) -> Rows:
        async with self.transaction() as connection:
            await connection.execute(SQL["lock_tasks"], tasks)
            return await connection.fetch(SQL[name], *arguments)

    async def fetch_one(self, name: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        rows = await self.fetch(name, *arguments)
        return rows[0] if rows else None


async def _repeated(run: Callable[[], Awaitable[Rows]]) -> Rows:
    for tried in range(1, TRIES + 1):
        try:
            return await run()
        except LedgerBusy:
            if tried == TRIES:
                raise
            await asyncio.sleep(full_jitter(0.01, 0.2, tried))
        except LedgerAway as error:
            if tried > 1 or not _was_stale(error):
                raise
    raise AssertionError("the last try returns or raises")


def _was_stale(error: LedgerAway) -> bool:
    """Whether the connection had died before: a server that is down refuses a new one, and one that is slow times out."""
    cause = error.__cause__
    return isinstance(
        cause,
        (
            asyncpg.PostgresConnectionError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            asyncpg.exceptions.AdminShutdownError,
            ConnectionResetError,
        ),
    )


@asynccontextmanager
async def _bouncer_transaction(connection: Connection) -> AsyncIterator[None]:
    await connection.execute(_LOCAL_SETTINGS)
    try:
        yield
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


def _split_url(url: str) -> tuple[str, bool]:
    """Take our own flag out of the URL: the driver would send it to the server as a setting."""
    base, separator, query = url.partition("?")
    if not separator:
        return url, False
    pairs = parse_qsl(query, keep_blank_values=True)
    flags = [value for key, value in pairs if key == "pgbouncer"]
    rest = urlencode([(key, value) for key, value in pairs if key != "pgbouncer"], safe="/")
    through = bool(flags) and flags[-1].lower() in {"true", "1", "yes", "on"}
    return (f"{base}?{rest}" if rest else base), through


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Turn rows into one array a column, as `unnest` takes them.

    NULLs at the end of a column are left out, as `unnest` fills a shorter array up with them: the driver looks at the
    Python type of each element, which costs most for those that are none. Most columns hold nothing else.
    """
    arrays = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
    for array in arrays:
        while array and array[-1] is None:
            array.pop()
    return arrays
