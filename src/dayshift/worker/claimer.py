"""Fills the worker's slots: claims for all that are free, one call after the other, and otherwise waits to be told.

One call asks for at most a quarter of the slots (or 32). A claim for all 500 at once made everything go in step: 500
starts in one commit, then the agents' code, then 500 finishes, each waiting for the one before. In quarters the starts
of one claim are committed while the code of another runs: 1.3 times the no-op tasks a second (mean of four pairs of runs).
Nor does it claim for each slot as it comes free: it waits up to 20 ms for enough of them, as one task a claim is also one
task a commit (10 % of PostgreSQL's and of Valkey's CPU time a task). A worker with enough free slots for a claim, or half
of them free, never waits.

It looks again when it is woken (a push to this worker's channel, a change of settings, a new epoch), when the earliest
delayed task is due, and every 5 s in case a push was lost. After a claim that brought fewer than asked it does not look
when a slot comes free: there was nothing more, and the hot plane has noted this worker as idle and will push.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from dayshift.agents import Agent
from dayshift.domain import clock, ids
from dayshift.domain.errors import PlaneAway
from dayshift.domain.events import Fault
from dayshift.domain.settings import Settings
from dayshift.hotplane import Claim, Plane
from dayshift.telemetry import emit
from dayshift.worker.lease import Lease
from dayshift.worker.slots import Slots

FALLBACK_SECONDS = 5.0
HINDERED_SECONDS = 0.1
FAULT_SECONDS = 1.0
LEAST_SECONDS = 0.02  # the hot plane's clock may be behind this machine's
LEAST_CLAIM = 32
GATHERING_SECONDS = 0.02
NO_CAP = -1
CLAIM_ID = "claim_"

Wishes = list[tuple[str, int]]


class Claimer:
    """`run` until `stop`. `take` is given each claim; `may_claim` says whether results can be written at all."""

    def __init__(
        self,
        *,
        plane: Plane,
        slots: Slots,
        agents: Mapping[str, Agent],
        pins: Mapping[str, str],
        settings: Callable[[], Settings],
        lease: Callable[[], Lease],
        may_claim: Callable[[], bool],
        take: Callable[[Lease, Claim], None],
    ) -> None:
        self._plane = plane
        self._slots = slots
        self._agents = agents
        self._pins = pins
        self._settings = settings
        self._lease = lease
        self._may_claim = may_claim
        self._take = take
        self._most = max(LEAST_CLAIM, slots.total // 4)
        self._woken = asyncio.Event()
        self._stopping = False
        self._has_stepped_back = False

    def wake(self) -> None:
        """There may be work: look now."""
        self._woken.set()

    def stop(self) -> None:
        """Claim no more; a call that is under way is finished, and what it brings is taken."""
        self._stopping = True
        self._woken.set()
        self._slots.nudge()

    async def run(self) -> None:
        """Claim whenever it may bring something."""
        while not self._stopping:
            await self._wait_for_slots()
            self._woken.clear()
            try:
                pause_seconds = await self.run_once()
            except Exception as error:  # noqa: BLE001 - a worker that claims no more would look alive and do nothing
                emit(Fault.of("claimer", error))
                pause_seconds = FAULT_SECONDS
            await self._pause(pause_seconds)

    async def run_once(self) -> float:
        """Claim once, if it is allowed. Answers how many seconds may pass before the next look; a wake ends them."""
        lease = self._lease()
        if self._stopping or not (lease.is_valid() and self._may_claim()):
            await self._step_back(lease)
            return HINDERED_SECONDS
        self._has_stepped_back = False
        agents = self._claimable()
        count = min(self._slots.free, self._most)
        if not agents or count <= 0:
            return FALLBACK_SECONDS
        request_id = ids.new(CLAIM_ID)
        claim = await self._claim(lease, request_id, agents, count)
        if claim is not None:
            self._take(lease, claim)
            return 0.0 if len(claim.task_ids) >= count else _seconds_until(claim.next_due_ms)
        claim = await self._repeat_until_answered(lease, request_id, agents, count)
        if claim is None:
            return HINDERED_SECONDS
        self._take(lease, claim)
        return 0.0

    async def _step_back(self, lease: Lease) -> None:
        """A wake-up that reaches a worker which may not claim would wait with it: have the plane pass it on."""
        if self._has_stepped_back or self._stopping or not lease.is_valid():
            return
        self._has_stepped_back = True
        with contextlib.suppress(PlaneAway):
            await self._plane.stop_claiming(lease.worker_id)

    def _claimable(self) -> Wishes:
        """What to claim by, each with its agent's cap; neither of paused queues nor of disabled agents."""
        settings = self._settings()
        claimable = []
        for agent in self._agents.values():
            own = settings.agent(agent.name)
            if own.enabled and not settings.queue(agent.queue).paused:
                cap = NO_CAP if own.concurrency is None else own.concurrency
                claimable += [(name, cap) for name in (agent.name, self._pins.get(agent.name)) if name is not None]
        return claimable

    async def _claim(self, lease: Lease, request_id: str, agents: Wishes, count: int) -> Claim | None:
        """Ask once. None: no answer came."""
        try:
            return await self._plane.claim(lease.worker_id, request_id, agents, count)
        except PlaneAway:
            return None

    async def _repeat_until_answered(self, lease: Lease, request_id: str, agents: Wishes, count: int) -> Claim | None:
        """Repeat an unanswered call with its request id: tasks that were given out already come again. None: give up.

        The answer may be that of the first try, and the wake-up for what has come since went to this worker, which could
        not follow it: so the claimer looks again at once. A lost lease ends it: what the call brought belongs to an id
        that is being rescued.
        """
        while lease.is_valid() and not self._stopping:
            await self._pause(HINDERED_SECONDS)
            self._woken.clear()
            claim = await self._claim(lease, request_id, agents, count)
            if claim is not None:
                return claim
        return None

    async def _wait_for_slots(self) -> None:
        """Until a slot is free, and then a moment longer for enough of them; wake-ups have to wait as well."""
        await self._wait_until_free(1)
        enough = min(self._most, self._slots.total // 2)
        if self._slots.free < enough:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHERING_SECONDS):
                    await self._wait_until_free(enough)

    async def _wait_until_free(self, number: int) -> None:
        while self._slots.free < number and not self._stopping:
            await self._slots.wait_for_change()

    async def _pause(self, seconds: float) -> None:
        if seconds > 0 and not self._woken.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()


def _seconds_until(due_ms: int | None) -> float:
    if due_ms is None:
        return FALLBACK_SECONDS
    left_seconds = due_ms / 1000 - clock.now().timestamp()
    return min(FALLBACK_SECONDS, max(LEAST_SECONDS, left_seconds))
