"""`ledger.effects`: the journal's rows.

**Who may write.** Every write locks the row of its task FOR SHARE and looks whether its attempt is still the one that
runs. A start locks the same row for itself, so the two exclude each other: an effect is committed before the start of a
newer attempt, which then finds it in the journal that it loads after its start, or it is refused. Several effects of one
attempt share the lock and do not wait for each other.

    the task's row says                      answer        effect
    ───────────────────────────────────────  ────────────  ────────────────────────────────────────
    another attempt or worker, or an end     superseded    nothing is written: the attempt must stop
    this attempt; the place is free          recorded
    this attempt; the place holds this id    recorded      a repeat, or the outcome of what was `started`
    this attempt; the place holds another    stored        nothing is written: read what stands there

**The place** of an effect is (task, key, occurrence). Within an attempt its journal gives a place to one effect only, and
a newer attempt has read all of an older one's; so `stored` is a net, for what no reasoning here foresees.

**A repeat is known** by the id, which the writer makes. That is also why a repeat after a lost answer is harmless.

**What appends to a conversation** (kind `append`) has its result written into the history by the same statement, under the
id of the effect: either both are there or none, and a repeat adds no second message.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import asyncpg
import msgspec
from msgspec import Struct

from dayshift.domain import ids
from dayshift.domain.budget import Scope, nano_usd
from dayshift.domain.effect import Difference, Effect, EffectStatus
from dayshift.domain.errors import Conflict, NotFound
from dayshift.ledger.database import Database, columns
from dayshift.ledger.rows import bare, bare_or_missing, call_usage_of, encode, rounds, task_id

PAGE = 1_000
_LOWEST_UUID = "00000000-0000-0000-0000-000000000000"

Ruling = Literal["recorded", "superseded", "stored"]


class EffectWrite(Struct, frozen=True):
    """An effect, and the worker that runs its attempt. `wait_seconds` is how long a wait lasts at most. What it cost is summed
    up for `scopes`.
    """

    effect: Effect
    worker_id: str
    wait_seconds: float | None = None
    scopes: tuple[Scope, ...] = ()


class EffectAnswer(Struct, frozen=True):
    """`is_cancelled`: a person wants the task cancelled; whoever hears of it stops. `due_at` is when a wait is over."""

    ruling: Ruling
    is_cancelled: bool
    due_at: datetime | None = None


class Effects:
    """Writing and reading effects. `record` is meant to be called by a group commit."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def record(self, writes: Sequence[EffectWrite]) -> list[EffectAnswer]:
        """Write effects, all or none; answer each in order whether it stands."""
        answers: dict[int, EffectAnswer] = {}
        for batch in rounds(writes, _place_of, lambda write: write.effect.id):
            arguments = [_arguments(write) for _, write in batch]
            paid = columns(_paid([write for _, write in batch]), 8)
            for row in await self._db.batch("record_effects", *columns(arguments, 19), *paid):
                index, _ = batch[row["n"] - 1]
                answers[index] = EffectAnswer(row["ruling"], row["is_cancelled"], row["due_at"])
        return [answers[index] for index in range(len(writes))]

    async def replace(self, write: EffectWrite) -> bool:
        """Put an effect where another one stands; False if its attempt was superseded, or nothing stands there."""
        task, attempt, worker, identity, key, occurrence, *rest, _, preview = _arguments(write)
        _, *paid = columns(_paid([write]), 8)
        row = await self._db.fetch_one(
            "replace_effect", task, attempt, worker, key, occurrence, identity, *rest, preview, *paid
        )
        return row is not None

    async def of_task(self, task_id: str) -> Sequence[Effect]:
        """The whole journal of a task, in the order in which the effects began."""
        effects: list[Effect] = []
        key, occurrence = b"", -1
        while True:
            rows = await self._db.fetch("effects_of_task", bare(task_id), key, occurrence, PAGE)
            effects += [_to_effect(row) for row in rows]
            if len(rows) < PAGE:
                return sorted(effects, key=lambda effect: effect.id)
            key, occurrence = rows[-1]["key"], rows[-1]["occurrence"]

    async def list(self, task_id: str, *, limit: int, after: str | None = None) -> Sequence[Effect]:
        """A page of a task's effects without their results, in the order in which they began."""
        below = bare_or_missing(ids.EFFECT, after, "effect") if after is not None else _LOWEST_UUID
        return [_to_effect(row) for row in await self._db.fetch("list_effects", bare(task_id), below, limit)]

    async def settle(self, tenant: str, task_id: str, effect_id: str, result: bytes | None) -> None:
        """A person knows what became of it: this is its result, or it was not performed (None) and may be done.

        Raises NotFound, and Conflict when its outcome is known or the task runs.
        """
        task, effect = bare_or_missing(ids.TASK, task_id, "task"), bare_or_missing(ids.EFFECT, effect_id, "effect")
        row = await self._db.fetch_one("settle_effect", task, tenant, effect, result)
        if row is None:
            raise NotFound(f"There is no task {task_id}.")
        if row["status"] is None:
            raise NotFound(f"There is no effect {effect_id} of this task.")
        if not row["is_settled"]:
            why = "The task runs" if row["task_status"] == "running" else f"The effect is {row['status']}"
            raise Conflict(f"{why}: only an outcome that is unknown, of a task that does not run, can be settled.")

    async def mark_replayed(self, effects: Sequence[Effect], attempt: int) -> None:
        """Note that this attempt was given their results instead of doing them again."""
        rows = [(bare(effect.task_id), effect.key, effect.occurrence, attempt) for effect in effects]
        await self._db.fetch("mark_replayed", *columns(rows, 4))


def _place_of(write: EffectWrite) -> tuple[str, bytes, int]:
    return write.effect.task_id, write.effect.key, write.effect.occurrence


def _paid(writes: Sequence[EffectWrite]) -> list[tuple[object, ...]]:
    """What each cost, for each of whom it is summed up for; with its place in the list."""
    return [
        (n, scope.kind, scope.tenant, scope.name, nano_usd(paid.cost_usd), tokens, paid.llm_calls, paid.unpriced_calls)
        for n, write in enumerate(writes, start=1)
        if (paid := write.effect.usage) is not None
        for tokens in [paid.input_tokens + paid.output_tokens]
        for scope in write.scopes
    ]


def _arguments(write: EffectWrite) -> tuple[object, ...]:
    effect = write.effect
    return (
        bare(effect.task_id),
        effect.attempt,
        bare(write.worker_id),
        bare(effect.id),
        effect.key,
        effect.occurrence,
        effect.kind,
        effect.name,
        effect.status.value,
        effect.started_at,
        effect.finished_at,
        effect.digests,
        effect.emits,
        None if effect.usage is None else encode(effect.usage),
        effect.result,
        effect.scope,
        None if effect.differs is None else encode(effect.differs),
        write.wait_seconds,
        effect.preview,
    )


def _to_effect(row: asyncpg.Record) -> Effect:
    return Effect(
        id=f"{ids.EFFECT}{row['id']}",
        task_id=task_id(row["task_id"]),
        key=row["key"],
        occurrence=row["occurrence"],
        attempt=row["attempt"],
        kind=row["kind"],
        name=row["name"],
        status=EffectStatus(row["status"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        digests=row["digests"],
        emits=row["emits"],
        usage=call_usage_of(row["usage"]),
        result=row["result"],
        replayed_by=row["replayed_by"],
        scope=row["scope"],
        differs=msgspec.json.decode(row["differs"], type=Difference) if row["differs"] else None,
        due_at=row["due_at"],
        preview=row["preview"],
    )
