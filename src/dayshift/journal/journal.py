"""The journal's service: loads what a task has done, and writes what it does.

An effect's answer is not handed on before its commit. While the ledger is away the effects wait in memory, as the outcomes
of attempts do: they were paid for. `is_backed_up` tells the worker to claim nothing more meanwhile.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial

from dayshift.domain.budget import Scope, always_summed
from dayshift.domain.effect import WAITS, Effect
from dayshift.domain.events import Diverged, EffectsEnded
from dayshift.domain.patience import until_answered
from dayshift.domain.task import Started
from dayshift.journal.attempt import AttemptJournal
from dayshift.journal.commits import AttemptWriter, EffectCommits, SpawnCommits
from dayshift.journal.history import History
from dayshift.ledger import Ledger, Spawned
from dayshift.telemetry import emit

BACKED_UP_BYTES = 16 * 1024 * 1024
BACKED_UP_SECONDS = 2.0


def _nobody_counts(_begun_mono: float, _ended_mono: float) -> None: ...


def _nobody_hears(_effect: Effect) -> None: ...


class Journal:
    """One a process. `on_spawned` tells the hot plane of a child that was made; `preview_characters` is asked at each effect that begins."""

    def __init__(
        self,
        ledger: Ledger,
        on_spawned: Callable[[Spawned], None],
        preview_characters: Callable[[], int] = lambda: 0,
    ) -> None:
        self._preview_characters = preview_characters
        self._ledger = ledger
        self._on_spawned = on_spawned
        self._commits = EffectCommits("effect", ledger.effects.record, max_pending_bytes=None)
        self._spawns = SpawnCommits("spawn", ledger.waits.spawn, max_pending_bytes=None)

    @property
    def is_backed_up(self) -> bool:
        """Effects wait for the ledger: claim nothing more until they are written."""
        return self._commits.pending_bytes > BACKED_UP_BYTES or self._commits.waiting_seconds > BACKED_UP_SECONDS

    async def open(
        self,
        started: Started,
        worker_id: str,
        *,
        may_act: Callable[[], None],
        on_cancelled: Callable[[], None],
        on_written: Callable[[float, float], None] = _nobody_counts,
        on_finished: Callable[[Effect], None] = _nobody_hears,
        strict: bool = False,
        scopes: Callable[[], tuple[Scope, ...]] | None = None,
    ) -> AttemptJournal:
        """The journal of an attempt, loaded after its start: nothing can be added to it by an older one any more.

        `may_act` raises when the attempt must not do anything any more; `on_cancelled` hears that a person wants the task
        cancelled; `on_written` hears from when to when each commit was waited for, `on_finished` of each effect that is recorded with
        its outcome. What is spent is summed up for `scopes`, or else
        for the tenant and the agent. Raises `LedgerAway`; safe to repeat.
        """
        effects = [] if started.attempt == 1 else await self._ledger.effects.of_task(started.id)
        writer = AttemptWriter(
            self._ledger,
            self._commits,
            self._spawns,
            worker_id,
            on_cancelled,
            self._on_spawned,
            on_written,
            on_finished,
            scopes or partial(always_summed, started.tenant, started.agent),
        )
        return AttemptJournal(
            writer,
            task_id=started.id,
            attempt=started.attempt,
            effects=effects,
            may_act=may_act,
            strict=strict,
            preview_characters=self._preview_characters,
        )

    def history(self, tenant: str, conversation: str) -> History:
        """What was said in a conversation."""
        return History(self._ledger, tenant, conversation)

    async def close(self, attempt_journal: AttemptJournal, ended_by: BaseException | None) -> None:
        """The attempt's code has ended: record the failures that it survived, and which effects were replayed to it."""
        await attempt_journal.settle(ended_by)
        _tell_divergences(attempt_journal)
        taken = [effect for effect in attempt_journal.taken() if effect.result is not None or effect.kind in WAITS]
        if taken:
            for kind, count in Counter(effect.kind for effect in taken).items():
                emit(EffectsEnded(kind=kind, outcome="replayed", count=count))
            await until_answered(partial(self._ledger.effects.mark_replayed, taken, attempt_journal.attempt))

    async def written(self) -> None:
        """Wait until every effect that was handed in is written."""
        await self._commits.all_answered()


def _tell_divergences(attempt_journal: AttemptJournal) -> None:
    for call, divergence in attempt_journal.divergences():
        emit(Diverged(kind=call.kind, name=call.name, effect_id=divergence.effect.id, part=divergence.part))
