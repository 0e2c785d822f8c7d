"""Effects on their way into the ledger: those of all attempts of a process, group-committed."""

from collections.abc import Callable

from msgspec import Struct

from dayshift.domain.effect import Effect, EffectStatus
from dayshift.domain.errors import Superseded
from dayshift.domain.events import EffectsEnded
from dayshift.ledger import EffectAnswer, EffectWrite, GroupCommit, Ledger
from dayshift.telemetry import emit

_ROW_BYTES = 400
_OUTCOMES = {EffectStatus.DONE: "performed", EffectStatus.FAILED: "failed", EffectStatus.UNKNOWN: "unknown"}

EffectCommits = GroupCommit[EffectWrite, EffectAnswer]


class AttemptWriter(Struct, frozen=True):
    """Writes for one attempt. `on_cancelled` is called when an answer says that a person wants the task cancelled."""

    ledger: Ledger
    commits: EffectCommits
    worker_id: str
    on_cancelled: Callable[[], None]

    async def write(self, effect: Effect, *, handed_on: bool = False) -> Effect:
        """Commit; waits while the ledger is away."""
        write = EffectWrite(effect, self.worker_id)
        answer = await self.commits.submit(write, _ROW_BYTES + len(effect.result or b""))
        if answer.is_cancelled:
            self.on_cancelled()
        if answer.ruling == "superseded":
            raise Superseded("a newer attempt has taken over: what this one does is not recorded, so it must stop")
        if effect.status is not EffectStatus.STARTED:
            emit(EffectsEnded(kind=effect.kind, outcome=_OUTCOMES[effect.status]))
        if answer.ruling == "recorded":
            return effect
        if handed_on and await self.ledger.effects.replace(write):
            return effect
        return await self._standing(effect)

    async def _standing(self, effect: Effect) -> Effect:
        """Somebody else has that place: no reasoning foresees it, and its answer is the recorded one."""
        for other in await self.ledger.effects.of_task(effect.task_id):
            if (other.key, other.occurrence) == (effect.key, effect.occurrence):
                return other
        raise Superseded("the task and its journal are gone, so this attempt must stop")
