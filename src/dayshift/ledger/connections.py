"""The connections of a process to PostgreSQL: at most so many, kept open, and handed out without a turn of the event loop.

A task waits for three commits one after the other, and each of them takes a connection and gives it back. The driver's own
pool spends several turns of the loop and two helper tasks on that (time limits, shields, a reset), most of them between
the server's answer and its reader. Here an idle connection is popped from a list and pushed back.

    take ──▶ an idle one, the one used last: its plans are warm, and the others may grow old
         ──▶ a new one, while there are fewer than `most`
         ──▶ else in line: whoever gives one back hands it to the first who waits

A connection is used again only while it is *trusted*: it lives, no statement was left on it by a caller who was cancelled,
and none of its neighbours was found dead since it was opened (a restarted server leaves all of them dead).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import asyncpg

from dayshift.domain.clock import monotonic_seconds

LONGEST_IDLE_SECONDS = 300.0


class Connections:
    """Belongs to one event loop. `connect` opens one connection."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], most: int) -> None:
        self._connect = connect
        self._most = most
        self._opened = 0  # with those that are just being opened
        self._all: set[asyncpg.Connection] = set()
        self._trusted: set[asyncpg.Connection] = set()
        self._idle: list[tuple[asyncpg.Connection, float]] = []  # with the time since; used last, stands last
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        self._all_back = asyncio.Event()

    async def take(self) -> asyncpg.Connection:
        """A connection of one's own, until `give_back`."""
        while True:
            while self._idle:
                connection, _ = self._idle.pop()
                if not connection.is_closed():
                    return connection
                self._let_go(connection)
            if self._opened < self._most:
                return await self._open()
            handed = await self._handed_over()
            if handed is not None:
                return handed

    def give_back(self, connection: asyncpg.Connection) -> None:
        """Let others have it; one that is not trusted any more is closed instead."""
        if connection not in self._trusted or connection.is_closed():
            self._let_go(connection)
        elif not self._hand_over(connection):
            now = monotonic_seconds()
            self._idle.append((connection, now))
            self._close_one_that_is_old(now)
            self._note_if_all_back()

    def distrust(self, connection: asyncpg.Connection) -> None:
        """Do not use this one again: nobody knows what it still does."""
        self._trusted.discard(connection)

    def distrust_all(self) -> None:
        """One was found dead, and its neighbours are probably as dead: replace each at its next use."""
        self._trusted.clear()
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            self._let_go(connection)

    async def close(self) -> None:
        """Wait until all are given back, and disconnect. Whoever still waits for one opens none that stays."""
        self._most = 0
        while self._opened > len(self._idle):
            self._all_back.clear()
            await self._all_back.wait()
        idle, self._idle = self._idle, []
        self._opened = 0
        await asyncio.gather(*(connection.close() for connection, _ in idle), return_exceptions=True)

    def terminate(self) -> None:
        """Break every connection, also those that are in use."""
        for connection in self._all:
            connection.terminate()

    async def _open(self) -> asyncpg.Connection:
        self._opened += 1
        try:
            connection = await self._connect()
        except BaseException:
            self._opened -= 1
            self._hand_over(None)
            raise
        self._all.add(connection)
        self._trusted.add(connection)
        return connection

    async def _handed_over(self) -> asyncpg.Connection | None:
        """Wait in line. None: one was closed, so that there is room to open another."""
        turn: asyncio.Future[asyncpg.Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came at the moment of leaving
                handed = turn.result()
                self._hand_over(None) if handed is None else self.give_back(handed)
            raise

    def _hand_over(self, connection: asyncpg.Connection | None) -> bool:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _let_go(self, connection: asyncpg.Connection) -> None:
        self._all.discard(connection)
        self._trusted.discard(connection)
        self._opened -= 1
        connection.terminate()
        self._hand_over(None)
        self._note_if_all_back()

    def _close_one_that_is_old(self, now: float) -> None:
        connection, since = self._idle[0]
        if now - since > LONGEST_IDLE_SECONDS:
            del self._idle[0]
            self._let_go(connection)

    def _note_if_all_back(self) -> None:
        if self._opened == len(self._idle):
            self._all_back.set()
