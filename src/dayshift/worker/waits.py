"""What the attempts of this process wait for, and how they hear of it.

    a time         a timer
    a signal,      looked for in the ledger: once when the wait opens, again when the worker is told (`news TASK`), when its
    a child's end  time is over, and every few seconds, as what is told may be lost

Looks of many attempts go together, one after the other: what is asked for during a look goes with the next.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from dayshift.agents import encode_failure
from dayshift.agents.waiting import TIMED_OUT
from dayshift.domain.child import ChildEnd
from dayshift.domain.effect import Effect
from dayshift.domain.patience import until_answered
from dayshift.journal import pack
from dayshift.ledger import Ledger, Look, Seen
from dayshift.tasks.background import Background

SWEEP_SECONDS = 5.0
MOST_A_LOOK = 200
_TIMED_OUT = pack(encode_failure(TimeoutError(TIMED_OUT)))

Answer = bytes | ChildEnd | None


class OpenWaits:
    """Those of one attempt, by the ids of their effects. `wakes` is what the last look counted.

    Until a look that began after a wait was opened has ended, nobody knows whether its answer is there already: a signal that
    came before the attempt was started is counted in the first `wakes`.
    """

    def __init__(self, look: Look, wakes: int, on_superseded: Callable[[], None]) -> None:
        self.look = look
        self.wakes = wakes
        self._on_superseded = on_superseded
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._looked_for: set[str] = set()

    def open(self, wait: Effect) -> asyncio.Future[Answer]:
        """Where the answer of a wait will be."""
        answer = self._answers[wait.id] = asyncio.get_running_loop().create_future()
        return answer

    def close(self, wait: Effect) -> None:
        self._answers.pop(wait.id, None)
        self._looked_for.discard(wait.id)

    @property
    def is_empty(self) -> bool:
        return not self._answers

    @property
    def are_looked_for(self) -> bool:
        """Whether the last look saw all of them open."""
        return self._answers.keys() <= self._looked_for

    def now_open(self) -> list[str]:
        """The waits that a look which begins now will see."""
        return list(self._answers)

    def hear(self, looked_for: list[str], seen: Seen | None) -> None:
        """What a look for these waits found. None: this attempt does not run any more, by the ledger."""
        if seen is None:
            self._on_superseded()
            return
        self.wakes = seen.wakes
        self._looked_for.update(self._answers.keys() & looked_for)
        for wait_id, said in seen.answers.items():
            answer = self._answers.get(wait_id)
            if answer is not None and not answer.done():
                answer.set_result(said)


class Waits:
    """One a process."""

    def __init__(self, ledger: Ledger, background: Background) -> None:
        self._ledger = ledger
        self._background = background
        self._open: dict[str, OpenWaits] = {}  # by task
        self._due: dict[OpenWaits, None] = {}
        self._is_looking = False
        self._sweeper: asyncio.TimerHandle | None = None

    def look_for(self, waits: OpenWaits) -> None:
        """Look now, and again every few seconds while anything of it is open."""
        self._open[waits.look.task_id] = waits
        self._look_soon(waits)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def hear(self, task_id: str) -> None:
        """Something came for this task."""
        if waits := self._open.get(task_id):
            self._look_soon(waits)

    def _look_soon(self, waits: OpenWaits) -> None:
        self._due[waits] = None
        if not self._is_looking:
            self._is_looking = True
            self._background.spawn(self._look(), where="worker.waits")

    async def _look(self) -> None:
        try:
            while self._due:
                looking = list(self._due)[:MOST_A_LOOK]
                for waits in looking:
                    del self._due[waits]
                looked_for = [waits.now_open() for waits in looking]
                looks = [waits.look for waits in looking]
                found = await until_answered(partial(self._ledger.waits.look, looks, _TIMED_OUT))
                for waits, open_then, seen in zip(looking, looked_for, found, strict=True):
                    waits.hear(open_then, seen)
        finally:
            self._is_looking = False

    def _sweep(self) -> None:
        self._sweeper = None
        for task_id, waits in list(self._open.items()):
            if waits.is_empty:
                del self._open[task_id]
            else:
                self._look_soon(waits)
        if self._open:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
