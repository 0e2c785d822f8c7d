"""`ledger.waits`: what tasks wait for, what comes to them, and how one wakes the other.

A wait is an effect that is `started`: it has an id, and the journal of every later attempt finds it again. What answers it
is looked up where it is true: a signal among the signals, a child's end in the child's row. Nothing is handed over by the
one who wakes; a wake-up says only "look again". So it may come twice, late, or for nothing.

**No wake-up is lost between look and park.** Who has something to say commits it, or has committed it, and then takes the lock
of the waiting task's row and counts `wakes` up. A look takes the same lock as a share, reads `wakes` and then what is
there, in one transaction; so what its `wakes` counts, it has seen. A park names the `wakes` of the last look, and
becomes a queued task instead of a waiting one if the row says another number by then:

    say, then look         the look sees it
    look, say, then park   `wakes` differs: the task is queued, and looks again
    park, then say         the task is `waiting`: it is queued

So an attempt is not parked on a wait before a look that began after that wait was opened (`worker/waits.py`): the `wakes` that
it was started with count what came earlier, and nobody has looked for that yet.

**A signal answers one wait.** It is bound to a wait under the lock of the task's row, at once if one is open and else when one
opens; a wait that times out does so under the same lock, and only if nothing is bound to it. So it is never both.

**A child is made with its effect**, in one statement, and bears the effect's id: there is no child that no journal knows.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from msgspec import Struct

from dayshift.domain import ids
from dayshift.domain.child import ChildEnd
from dayshift.domain.effect import Effect
from dayshift.domain.errors import Conflict, NotFound
from dayshift.domain.signal import Wait, rule
from dayshift.domain.task import Place, Status
from dayshift.ledger.database import Connection, Database, columns
from dayshift.ledger.effects import EffectAnswer
from dayshift.ledger.rows import bare, bare_or_missing, moment, rounds, task_id, to_place
from dayshift.ledger.statements import SQL

_BEFORE_ALL = moment(0)


class Look(Struct, frozen=True):
    """An attempt that asks what has come for it."""

    task_id: str
    attempt: int
    worker_id: str


class Seen(Struct, frozen=True):
    """What a look found: answers by the ids of the waits. None stands for a wait that has timed out, which is recorded."""

    wakes: int
    answers: dict[str, bytes | ChildEnd | None]


class Woken(Struct, frozen=True):
    """A task that something came for. `place`: it was parked and is queued now; `worker_id`: it runs there."""

    task_id: str
    attempt: int
    queue: str
    place: Place | None
    worker_id: str | None


class Spawn(Struct, frozen=True):
    """A child to be: the effect that it is in its parent's journal, and what it is to run. `input` is JSON."""

    effect: Effect
    worker_id: str
    agent: str
    queue: str
    input: bytes


class Spawned(Struct, frozen=True):
    """Whether the child stands, and where it is queued; None when it is not, as it was started meanwhile."""

    answer: EffectAnswer
    place: Place | None
    queue: str | None
    trace_id: str | None


class Sent(Struct, frozen=True):
    """A signal was taken. `is_repeat`: it was there already, and nothing was done."""

    is_repeat: bool
    woken: list[Woken]


class Waits:
    """Looking, parking's counterpart, and everything that wakes."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def look(self, looks: Sequence[Look], timed_out: bytes) -> list[Seen | None]:
        """What has come for each of these attempts, in order; None for one that does not run any more.

        Waits whose time is over end here, with `timed_out` as their recorded result.
        """
        answers: list[Seen | None] = [None] * len(looks)
        wished = columns([(bare(look.task_id), look.attempt, bare(look.worker_id)) for look in looks], 3)
        async with self._db.transaction() as connection:
            wakes = {row["n"] - 1: row["wakes"] for row in await connection.fetch(SQL["lock_attempts"], *wished)}
            running = [bare(looks[index].task_id) for index in wakes]
            found = await self._answers(connection, running, timed_out)
        for index, count in wakes.items():
            answers[index] = Seen(count, found.get(looks[index].task_id, {}))
        return answers

    async def send(self, tenant: str, task: str, name: str, payload: bytes, wait_id: str | None) -> Sent:
        """Take a signal for a task, and wake it. Raises NotFound, and Conflict when nobody waits for it any more."""
        identity = bare_or_missing(ids.TASK, task, "task")
        wanted = None if wait_id is None else bare_or_missing(ids.EFFECT, wait_id, "wait")
        async with self._db.transaction() as connection:
            row = await connection.fetchrow(SQL["lock_for_signal"], identity, tenant)
            if row is None:
                raise NotFound(f"There is no task {task}.")
            said = await self._said(connection, identity, name)
            if Status(row["status"]) in {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED} and (
                wanted is None or wanted not in said
            ):
                raise Conflict(f"Task {task} is {row['status']}, and hears no signals any more.", code="task_finished")
            ruling = rule(name, await self._waits_of(connection, identity, name), said, wanted)
            if ruling.is_repeat:
                return Sent(is_repeat=True, woken=[])
            await connection.execute(
                SQL["keep_signal"], identity, name, bare(ids.new("signal_")), ruling.wait_id, payload
            )
            woken = [_woken(one) for one in await connection.fetch(SQL["wake_tasks"], [identity])]
        return Sent(is_repeat=False, woken=woken)

    async def wake(self, task_ids: Sequence[str]) -> list[Woken]:
        """Something came that these tasks may wait for."""
        tasks = [bare(one) for one in task_ids]
        return [_woken(row) for row in await self._db.fetch_of_locked(tasks, "wake_tasks", tasks)]

    async def spawn(self, spawns: Sequence[Spawn]) -> list[Spawned]:
        """Make children, all or none, each with its effect; meant to be called by a group commit."""
        answers: dict[int, Spawned] = {}
        for batch in rounds(spawns, lambda one: (one.effect.task_id, one.effect.key, one.effect.occurrence)):
            arguments = [_spawn_arguments(spawn) for _, spawn in batch]
            for row in await self._db.batch("spawn_children", *columns(arguments, 15)):
                index, _ = batch[row["n"] - 1]
                answer = EffectAnswer(row["ruling"], row["is_cancelled"])
                answers[index] = Spawned(answer, to_place(row) if row["id"] else None, row["queue"], row["trace_id"])
        return [answers[index] for index in range(len(spawns))]

    async def waking_page(self, within_seconds: float, limit: int, after: Place | None = None) -> list[Place]:
        """Parked tasks that wake by themselves within that time, the nearest first; `after` is the last one of the page before."""
        wake_at, seq = (moment(after.run_at_ms), after.seq) if after else (_BEFORE_ALL, 0)
        return [to_place(row) for row in await self._db.fetch("waking_page", within_seconds, wake_at, seq, limit)]

    async def wake_overdue(self, late_seconds: float, limit: int) -> list[Place]:
        """Queue parked tasks whose time has been over for so long."""
        return [to_place(row) for row in await self._db.fetch("wake_overdue", late_seconds, limit)]

    async def untold(self, limit: int) -> list[tuple[str, str]]:
        """Tasks that have ended and the parents that were not told of it."""
        rows = await self._db.fetch("untold_children", limit)
        return [(task_id(row["id"]), task_id(row["untold_parent"])) for row in rows]

    async def note_told(self, children: Sequence[str]) -> None:
        """Their parents know."""
        await self._db.fetch("note_told", [bare(child) for child in children])

    async def unfinished_children(self, parent_id: str) -> list[tuple[str, str]]:
        """The children of a task that have not ended, with their tenants."""
        return _named(await self._db.fetch("unfinished_children", bare(parent_id)))

    async def orphans(self, limit: int) -> list[tuple[str, str]]:
        """Unfinished children that nobody waits for, with their tenants."""
        return _named(await self._db.fetch("orphans", limit))

    async def _answers(
        self, connection: Connection, tasks: list[str], timed_out: bytes
    ) -> dict[str, dict[str, bytes | ChildEnd | None]]:
        await connection.execute(SQL["bind_signals"], tasks)
        found: dict[str, dict[str, bytes | ChildEnd | None]] = {}
        for row in await connection.fetch(SQL["time_out_waits"], tasks, timed_out):
            found.setdefault(task_id(row["task_id"]), {})[f"{ids.EFFECT}{row['id']}"] = None
        for row in await connection.fetch(SQL["answered_waits"], tasks):
            found.setdefault(task_id(row["task_id"]), {})[f"{ids.EFFECT}{row['id']}"] = _answer(row)
        return found

    async def _said(self, connection: Connection, task: str, name: str) -> dict[str | None, bool]:
        """Of each signal of that name, by the wait that it answers: whether it is unread."""
        await connection.execute(SQL["bind_signals"], [task])
        rows = await connection.fetch(SQL["signals_of_name"], task, name)
        return {None if row["wait_id"] is None else str(row["wait_id"]): row["is_unread"] for row in rows}

    async def _waits_of(self, connection: Connection, task: str, name: str) -> list[Wait]:
        rows = await connection.fetch(SQL["waits_of_name"], task, name)
        return [Wait(str(row["id"]), row["status"] == "started") for row in rows]


def _answer(row: asyncpg.Record) -> bytes | ChildEnd:
    if row["payload"] is not None:
        payload: bytes = row["payload"]
        return payload
    status = None if row["status"] is None else Status(row["status"])
    return ChildEnd(status, row["output"], row["error_code"], row["error_message"])


def _woken(row: asyncpg.Record) -> Woken:
    is_queued = row["status"] == Status.QUEUED
    worker_id = None if row["worker_id"] is None else f"{ids.WORKER}{row['worker_id']}"
    return Woken(task_id(row["id"]), row["attempt"], row["queue"], to_place(row) if is_queued else None, worker_id)


def _named(rows: list[Any]) -> list[tuple[str, str]]:
    return [(task_id(row["id"]), row["tenant"]) for row in rows]


def _spawn_arguments(spawn: Spawn) -> tuple[object, ...]:
    effect = spawn.effect
    started_at: datetime = effect.started_at
    return (
        bare(effect.task_id),
        effect.attempt,
        bare(spawn.worker_id),
        bare(effect.id),
        effect.key,
        effect.occurrence,
        effect.name,
        started_at,
        effect.digests,
        effect.emits,
        spawn.agent,
        spawn.queue,
        spawn.input,
        effect.scope,
        effect.preview,
    )
