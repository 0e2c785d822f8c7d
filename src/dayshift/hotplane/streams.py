"""The live events of a task: one stream a task, numbered N-0 with N = max(last + 1, plane clock in microseconds).

Streams belong to no epoch: a number never comes back, even after the plane was lost, because the clock has gone on.
A reader that finds the stream not starting at its beginning tells its client the task's snapshot first.

Finished streams are kept for an hour (a setting), but never more than `MAX_FINISHED` of them: at some thousand tasks a
second an hour of them would be tens of gigabytes, in a server that evicts nothing. Who comes later is told the end by
the ledger.
"""

import asyncio
from collections.abc import Sequence

from dayshift.domain.stream import QUEUED, Append, StreamEvent
from dayshift.hotplane import keys
from dayshift.hotplane.scripts import SCRIPTS
from dayshift.hotplane.shapes import Numbered, StreamPage
from dayshift.hotplane.state import State

MAX_EVENTS = 10_000
UNFINISHED_SECONDS = 7 * 86_400
FINISHED_SECONDS = 3_600
MAX_FINISHED = 50_000  # about 2 kB each, if they saw three events and a stream's node is 1 kB (stream-node-max-bytes)


class Streams:
    """Appending, reading and forgetting. `finished_seconds` is how long a stream outlives its final event (a setting)."""

    _state: State
    finished_seconds: int = FINISHED_SECONDS
    max_finished: int = MAX_FINISHED

    async def append(self, appends: Sequence[Append], repeatable: Numbered | None = None) -> list[int]:
        """Append events in order and push each to its task's channel; answers their numbers.

        Who repeats a call whose answer was lost says so with `repeatable`: what was appended before is refused then, in
        whatever company it comes again. 0 stands for an event that was refused: such a repetition, one of a lower
        attempt, one of a run whose final event is there, or one that equals the stream's last event.
        """
        if not appends:
            return []
        writer, orders = (repeatable.writer, repeatable.orders) if repeatable else ("", [0] * len(appends))
        flat: list[str | int | bytes] = [
            MAX_EVENTS,
            UNFINISHED_SECONDS,
            self.finished_seconds,
            self.max_finished,
            writer,
        ]
        for order, append in zip(orders, appends, strict=True):
            flat += (order, append.task_id, append.attempt, append.type, append.data)
        return [int(number) for number in await self._state.wire.run(SCRIPTS["append"], [keys.PREFIX], flat)]

    async def read(self, task_id: str, after: int = 0, limit: int = 1_000) -> StreamPage:
        """The events with a number above `after`, up to `limit` of them."""
        wire, key = self._state.wire, keys.stream(task_id)
        first, entries = await asyncio.gather(
            wire.ask(b"XRANGE", key, "-", "+", "COUNT", 1),
            wire.ask(b"XRANGE", key, f"{after + 1}-0", "+", "COUNT", limit),
        )
        begins = [_event(*entry) for entry in first]
        return StreamPage([_event(*entry) for entry in entries], bool(begins) and begins[0].type == QUEUED)

    async def last(self, task_id: str) -> StreamEvent | None:
        """The latest event."""
        entries = await self._state.wire.ask(b"XREVRANGE", keys.stream(task_id), "+", "-", "COUNT", 1)
        return _event(*entries[0]) if entries else None

    async def now_us(self) -> int:
        """The plane's clock in microseconds."""
        seconds, microseconds = await self._state.wire.ask(b"TIME")
        return int(seconds) * 1_000_000 + int(microseconds)

    async def expire(self, task_id: str, seconds: int) -> None:
        """Let a task's stream end that many seconds from now."""
        await self._state.wire.ask(b"EXPIRE", keys.stream(task_id), seconds)

    async def forget(self, task_id: str) -> None:
        """Remove a task's stream."""
        await self._state.wire.ask(b"UNLINK", keys.stream(task_id))


def _event(entry_id: bytes, fields: Sequence[bytes]) -> StreamEvent:
    """`scripts/append.lua` writes the fields in this order: attempt, type, data."""
    _, _, _, event_type, _, data = fields
    return StreamEvent(int(entry_id.split(b"-")[0]), event_type.decode(), data)
