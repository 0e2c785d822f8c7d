"""Effects on their way into the ledger: those of all attempts of a process, group-committed."""

from collections.abc import Callable
from functools import partial

import msgspec
from msgspec import Struct

from dayshift.domain import clock
from dayshift.domain.budget import Scope
from dayshift.domain.child import Child
from dayshift.domain.effect import Effect, EffectStatus
from dayshift.domain.errors import Superseded
from dayshift.domain.events import EffectsEnded
from dayshift.domain.patience import until_answered
from dayshift.ledger import EffectAnswer, EffectWrite, GroupCommit, Ledger, Spawn, Spawned
from dayshift.telemetry import emit

_ROW_BYTES = 400
_OUTCOMES = {EffectStatus.DONE: "performed", EffectStatus.FAILED: "failed", EffectStatus.UNKNOWN: "unknown"}

EffectCommits = GroupCommit[EffectWrite, EffectAnswer]
SpawnCommits = GroupCommit[Spawn, Spawned]


class AttemptWriter(Struct, frozen=True):
    """Writes for one attempt. `on_cancelled` is called when an answer says that a person wants the task cancelled;
    `on_spawned` hears where a child is queued, `on_written` from when to when a commit was waited for, `on_finished` of each effect
    that is recorded with its outcome. What is spent is summed up for `scopes`.
    """

    ledger: Ledger
    commits: EffectCommits
    spawns: SpawnCommits
    worker_id: str
    on_cancelled: Callable[[], None]
    on_spawned: Callable[[Spawned], None]
    on_written: Callable[[float, float], None]
    on_finished: Callable[[Effect], None]
    scopes: Callable[[], tuple[Scope, ...]]

    async def write(self, effect: Effect, *, handed_on: bool = False, wait_seconds: float | None = None) -> Effect:
        """Commit; waits while the ledger is away."""
        write = EffectWrite(effect, self.worker_id, wait_seconds, () if effect.usage is None else self.scopes())
        begun_mono = clock.monotonic_seconds()
        answer = await self.commits.submit(write, _ROW_BYTES + len(effect.result or b""))
        self.on_written(begun_mono, clock.monotonic_seconds())
        self._heed(answer)
        if effect.status is not EffectStatus.STARTED:
            emit(EffectsEnded(kind=effect.kind, outcome=_OUTCOMES[effect.status]))
        if answer.ruling != "recorded":
            if not handed_on:
                return await self._standing(effect)
            await self._replace(write)
        if effect.finished_at is not None:
            self.on_finished(effect)
        return effect if answer.due_at is None else msgspec.structs.replace(effect, due_at=answer.due_at)

    async def spawn(self, effect: Effect, child: Child) -> Effect:
        """Commit both; waits while the ledger is away."""
        spawn = Spawn(effect, self.worker_id, child.agent, child.queue, child.input)
        begun_mono = clock.monotonic_seconds()
        spawned = await self.spawns.submit(spawn, _ROW_BYTES + len(child.input))
        self.on_written(begun_mono, clock.monotonic_seconds())
        self._heed(spawned.answer)
        self.on_spawned(spawned)
        return effect if spawned.answer.ruling == "recorded" else await self._standing(effect)

    def _heed(self, answer: EffectAnswer) -> None:
        if answer.is_cancelled:
            self.on_cancelled()
        if answer.ruling == "superseded":
            raise Superseded("a newer attempt has taken over: what this one does is not recorded, so it must stop")

    async def _replace(self, write: EffectWrite) -> None:
        if not await until_answered(partial(self.ledger.effects.replace, write)):
            raise Superseded(
                "a newer attempt has taken over: what this one works with is not recorded, so it must stop"
            )

    async def _standing(self, effect: Effect) -> Effect:
        """Somebody else has that place: no reasoning foresees it, and its answer is the recorded one."""
        for other in await until_answered(partial(self.ledger.effects.of_task, effect.task_id)):
            if (other.key, other.occurrence) == (effect.key, effect.occurrence):
                return other
        raise Superseded("the task and its journal are gone, so this attempt must stop")
