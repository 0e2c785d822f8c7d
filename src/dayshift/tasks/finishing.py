"""Finishes: one attempt's outcome is committed, and then everybody who must know is told until they answer."""

from typing import Literal

from msgspec import Struct

from dayshift.domain.task import Started, TaskError, Timing, Usage
from dayshift.ledger import Finished

OutcomeKind = Literal["succeeded", "failed", "cancelled", "retry", "given_back"]


class Outcome(Struct, frozen=True, kw_only=True):
    """How an attempt ended. `output` is JSON bytes; `usage` and `timing` are the task's sums, this attempt included.

    `slot_seconds`: how long the attempt held its slot; the hot plane charges it to the tenant.
    """

    kind: OutcomeKind
    output: bytes | None = None
    error: TaskError | None = None
    retry_delay_seconds: float = 0.0
    usage: Usage = Usage()
    timing: Timing = Timing()
    slot_seconds: float = 0.0


class Finishing:
    @property
    def is_backed_up(self) -> bool:
        """Results wait for the ledger: claim nothing more until they are written."""
        raise NotImplementedError

    async def finish(self, started: Started, worker_id: str, outcome: Outcome) -> Finished:
        """Commit the outcome; waits in memory while the ledger is away.

        Returns after the commit. `Finished.accepted` false means that a newer attempt has taken over: drop the result.
        The hot plane's slot is freed and the stream is written in background, repeated until answered.
        """
        raise NotImplementedError
