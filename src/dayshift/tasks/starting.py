"""Starts: the ledger decides whether an attempt may run, and this tells everybody what it said.

granted              stream: task.started; the caller runs the attempt
gone, final,         the plane is wrong about this task: acked away
  running, waiting
conversation_busy    acked away, and whoever's turn it is announced: the one before may have gone this moment
not_due              acked with its place at the ledger's time
cancelled, expired   the start statement ended it: stream gets the final event, the conversation its next task
wrong_version        acked with the place where workers of its version look for it
quarantine           stays claimed; the caller starts it again in a process of its own
worker_released      stays with the rescue of this worker; the caller stops
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from dayshift.domain.clock import now
from dayshift.domain.events import StartRefused, TaskLost, TaskStarted
from dayshift.domain.patience import until_answered
from dayshift.domain.task import Started
from dayshift.hotplane import Ack
from dayshift.ledger import GroupCommit, Ledger, StartRefusal, StartWish
from dayshift.tasks import endings, events
from dayshift.tasks.background import Background
from dayshift.tasks.finishing import Finishing
from dayshift.tasks.next_in_line import NextInLine
from dayshift.tasks.outbox import Outbox
from dayshift.telemetry import emit

_WISH_BYTES = 200
_CLOCK_SKEW_PAUSE_SECONDS = 0.05
_STAYS_CLAIMED = frozenset({"quarantine", "worker_released"})
_ENDED_BY_THE_START = frozenset({"cancelled", "expired"})


class Starting:
    """Group-committed starts for all the attempts of this process."""

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        finishing: Finishing,
        next_in_line: NextInLine,
        background: Background,
        *,
        version: str | None,
        pins: Mapping[str, str],
    ) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._finishing = finishing
        self._next_in_line = next_in_line
        self._background = background
        self._version = version
        self._commits = GroupCommit[StartWish, Started | StartRefusal](
            "start",
            lambda wishes: ledger.tasks.start(wishes, pins),
            max_pending_bytes=None,
            on_left=self._answer_to_nobody,
        )
        self._giving_back: set[asyncio.Task[None]] = set()

    async def start(self, task_id: str, worker_id: str, *, quarantine: bool = False) -> Started | StartRefusal:
        """Ask the ledger for the next attempt; waits while the ledger is away.

        A grant is announced on the stream. A refusal has been handed to the hot plane already: the caller drops the
        task (and for the reason `quarantine` starts it again in a process of its own, saying `quarantine=True`; the
        claim stays its own). A caller that is cancelled while it waits needs to do nothing: a grant that comes later
        is given back.
        """
        wish = StartWish(task_id=task_id, worker_id=worker_id, version=self._version, quarantine=quarantine)
        said = await self._commits.submit(wish, _WISH_BYTES)
        if isinstance(said, Started):
            self._announce(said, worker_id)
        else:
            self._hand_over(said, worker_id)
        return said

    def announced(self) -> Callable[[], Awaitable[None]]:
        """Await what is answered before the first event of an attempt that was granted just now: its start comes first."""
        return self._outbox.told_so_far()

    async def all_given_back(self) -> None:
        """Wait until no start is under way and no grant that nobody runs is left. Ask once no more starts are wished."""
        await self._commits.all_answered()
        while self._giving_back:
            await asyncio.wait(self._giving_back)

    def _answer_to_nobody(self, wish: StartWish, said: Started | StartRefusal) -> None:
        """The caller has left: a grant is handed back, without failure or loss."""
        if isinstance(said, StartRefusal):
            self._hand_over(said, wish.worker_id)
            return
        giving = self._background.spawn(self._give_back(said, wish.worker_id), where="tasks.starting")
        self._giving_back.add(giving)
        giving.add_done_callback(self._giving_back.discard)

    async def _give_back(self, started: Started, worker_id: str) -> None:
        await self._finishing.give_back(started, worker_id)

    def _announce(self, started: Started, worker_id: str) -> None:
        self._outbox.tell(events.started(started.id, started.attempt, worker_id, self._version))
        emit(
            TaskStarted(
                task_id=started.id,
                agent=started.agent,
                tenant=started.tenant,
                attempt=started.attempt,
                queued_seconds=0.0 if started.takeover else max(0.0, (now() - started.run_at).total_seconds()),
                takeover=started.takeover,
            )
        )
        if started.takeover:
            emit(TaskLost(task_id=started.id, agent=started.agent, attempt=started.attempt - 1, worker_id=""))

    def _hand_over(self, refusal: StartRefusal, worker_id: str) -> None:
        emit(StartRefused(task_id=refusal.task_id, reason=refusal.reason))
        if refusal.reason in _STAYS_CLAIMED:
            return
        if refusal.reason == "not_due":
            self._background.spawn(self._put_off(refusal.task_id, worker_id), where="tasks.starting")
            return
        self._outbox.ack(worker_id, Ack(task_id=refusal.task_id, again=refusal.place))
        if refusal.conversation is not None:
            self._next_in_line.call(*refusal.conversation)
        if refusal.reason in _ENDED_BY_THE_START:
            self._background.spawn(self._tell_the_end(refusal.task_id), where="tasks.starting")

    async def _put_off(self, task_id: str, worker_id: str) -> None:
        """Give the task its place again, at the time that the ledger says.

        A plane whose clock is ahead thinks that this time has come: a pause keeps it from proposing the task in a circle.
        """
        await asyncio.sleep(_CLOCK_SKEW_PAUSE_SECONDS)
        place = await until_answered(lambda: self._ledger.tasks.place_of(task_id))
        self._outbox.ack(worker_id, Ack(task_id=task_id, again=place))

    async def _tell_the_end(self, task_id: str) -> None:
        task = await until_answered(lambda: self._ledger.tasks.get(task_id, None))
        if task is not None and task.is_final:
            endings.tell(self._outbox, task)
