"""A worker: one process that claims tasks, runs attempts, and hands back what it cannot finish.

    Worker          the order of everything, from registration to the release of the lease
    Lease           its right to run; Heartbeat keeps it, from a thread of its own
    Slots           what it holds; Claimer fills them, Executor empties them
    Leftovers       hands back what the ledger shows as running here and no slot holds
    Quarantine      a process of its own for a task that took two workers with it
    Watchdog        reports what blocks the event loop
    Drain           the way out

One process lives through several worker ids when it loses its lease: attempts under the old id are stopped and nothing
of theirs is written; the old id is rescued like a dead worker's; a new one is registered, and claiming goes on. Where that cannot be (the ledger refuses, and is not just away), the process
ends as by a hard stop.
"""

import asyncio
import contextlib
from collections.abc import Callable

from dayshift.agents import LoadedAgents, close_clients
from dayshift.domain import clock, ids
from dayshift.domain.events import Fault, LeaseLost, WorkerReady, WorkerSlots
from dayshift.domain.patience import until_answered
from dayshift.hotplane import Claim
from dayshift.journal.journal import Journal
from dayshift.llm.budgets import Budgets
from dayshift.tasks.services import Services
from dayshift.telemetry import emit
from dayshift.worker import alone
from dayshift.worker.attempt import Attempt, StopReason
from dayshift.worker.branches import task_factory, timeouts_noted
from dayshift.worker.claimer import Claimer
from dayshift.worker.draining import Drain, cancel
from dayshift.worker.executor import Executor, MakeLine
from dayshift.worker.hearing import Hearing
from dayshift.worker.heartbeat import Heartbeat, Planes
from dayshift.worker.lease import Lease
from dayshift.worker.leftovers import Leftovers
from dayshift.worker.quarantine import Quarantine, SpawnQuarantine
from dayshift.worker.registration import Registration
from dayshift.worker.slots import Slots
from dayshift.worker.waits import Waits
from dayshift.worker.watchdog import Watchdog
from dayshift.worker.webhooks import Sender, house_agents

GRACE_SECONDS = 30.0
SLOTS_REPORT_SECONDS = 1.0
RECYCLE_AFTER_SECONDS = 60.0


class Worker:
    """`run` until `drain`. Made inside the event loop; its services are open before it runs and closed after.

    `heartbeat_planes` makes a second ledger and plane, closed, for the heartbeat's thread. The services' `worker_id`
    must answer `Worker.worker_id`. Call `look_again` when settings changed. `on_new_id` hears under which id it goes on
    after it lost its lease, before anything happens under it.
    """

    def __init__(
        self,
        services: Services,
        loaded: LoadedAgents,
        *,
        heartbeat_planes: Planes,
        spawn_quarantine: SpawnQuarantine,
        slots: int,
        lines: MakeLine | None = None,
        budgets: Budgets | None = None,
        lease: Lease | None = None,
        grace_seconds: float = GRACE_SECONDS,
        recycle_after_seconds: float = RECYCLE_AFTER_SECONDS,
        is_quarantine: bool = False,
        webhook_sender: Sender | None = None,
        on_new_id: Callable[[str], None] = lambda _worker_id: None,
    ) -> None:
        self._services = services
        self._on_new_id = on_new_id
        self._loaded = loaded
        self._grace_seconds = 0.0 if is_quarantine else grace_seconds  # its parent has used up the grace before
        self._recycle_after_seconds = recycle_after_seconds
        self._is_quarantine = is_quarantine
        self._lease = lease or Lease(ids.new(ids.WORKER))
        self._draining = asyncio.Event()
        self._hurry = asyncio.Event()
        self._slots = Slots(slots)
        self._registration = Registration(services.ledger, loaded, slots)
        self._watchdog = Watchdog()
        sender = webhook_sender or Sender(lambda: services.settings().webhooks.allow_private)
        on_back = services.provider_waits.is_back
        runnable = {**loaded.agents, **house_agents(services.ledger, sender, on_back=on_back)}
        self._noted = contextlib.ExitStack()
        self._journal = Journal(
            services.ledger, services.family.child_made, lambda: services.settings().journal.preview_characters
        )
        self._waits = Waits(services.ledger, services.background)
        quarantine = Quarantine(services.ledger, services.plane, services.rescue, spawn_quarantine)
        self._executor = Executor(
            plane=services.plane,
            starting=services.starting,
            finishing=services.finishing,
            journal=self._journal,
            settings=services.settings,
            agents=runnable,
            slots=self._slots,
            waits=self._waits,
            on_quarantine=quarantine.run,
            on_entering=alone.end_unless_finished if is_quarantine else None,
            lines=lines,
            budgets=budgets,
            is_quarantine=is_quarantine,
        )
        self._claimer = Claimer(
            plane=services.plane,
            slots=self._slots,
            agents=runnable,
            pins=loaded.pins,
            settings=services.settings,
            lease=lambda: self._lease,
            may_claim=self._may_claim,
            take=self._take,
        )
        self._leftovers = Leftovers(services.ledger, services.finishing, self._slots, lambda: self._lease)
        self._hearing = Hearing(
            services, on_work=self._claimer.wake, on_cancels=self.cancel_attempts, on_news=self._waits.hear
        )
        self._heartbeat = Heartbeat(
            self._lease,
            self._slots,
            heartbeat_planes,
            on_lost=self._on_lease_lost,
            on_cancels=self.cancel_attempts,
            on_broken=self._end_broken,
            loop_lag_seconds=lambda: self._watchdog.lag_seconds,
            is_draining=self._draining.is_set,
            holds_claims=not is_quarantine,
        )

    @property
    def worker_id(self) -> str:
        """The id under which this process works now."""
        return self._lease.worker_id

    async def run(self, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """Work until drained. `on_ready` is called when this worker is known, beats, and claims."""
        await self._begin()
        reporting = asyncio.create_task(self._report_slots(), name="worker-slots")
        looking = asyncio.create_task(self._leftovers.run(), name="worker-leftovers")
        claiming = asyncio.create_task(self._claimer.run(), name="worker-claimer")
        emit(WorkerReady(worker_id=self.worker_id, agents=sorted(self._loaded.agents), slots=self._slots.total))
        on_ready()
        await self._draining.wait()
        await self._drain(claiming)
        await self._put_away()
        await cancel(reporting, looking)

    async def run_alone(self, task_id: str) -> None:
        """Run this one task as a quarantine process, then end."""
        alone.end_unless_started()
        await self._begin()
        self._take(self._lease, Claim([task_id], [], None))
        finished = asyncio.create_task(self._slots.wait_until_none_held())
        asked = asyncio.create_task(self._draining.wait())
        await asyncio.wait({finished, asked}, return_when=asyncio.FIRST_COMPLETED)
        for waiter in (finished, asked):
            waiter.cancel()
        alone.may_live()
        await self._drain(asyncio.create_task(asyncio.sleep(0)))
        await self._put_away()

    @property
    def has_stuck_code(self) -> bool:
        """Code of an agent that was fenced off still runs here: closing the event loop would wait for it."""
        return self._slots.busy > 0

    def drain(self) -> None:
        """Stop claiming, finish what ends within the grace, hand the rest back, leave."""
        self._draining.set()

    def stop_hard(self) -> None:
        """Drain, without any grace."""
        self._hurry.set()
        self._draining.set()

    def look_again(self) -> None:
        """Something that claims depend on has changed: settings, the plane's epoch."""
        self._claimer.wake()

    def cancel_attempts(self, task_ids: list[str]) -> None:
        """A person has cancelled these tasks; those that do not run here are ignored."""
        for task_id in task_ids:
            attempt = self._slots.find(self._lease, task_id)
            if attempt is not None:
                attempt.stop(StopReason.CANCELLED)

    async def _begin(self) -> None:
        """Known in the ledger, beating, and within earshot: in this order, so that whoever hears of it finds it alive."""
        if not self._is_quarantine:
            await self._registration.register_agents()
        await self._registration.register_worker(self._lease)
        self._start_threads()
        await self._hearing.listen(self.worker_id)
        asyncio.get_running_loop().set_task_factory(task_factory)  # type: ignore[arg-type] # typeshed knows no context
        self._noted.enter_context(timeouts_noted())

    def _start_threads(self) -> None:
        self._lease.confirm(clock.boottime_seconds())  # counted from now: registering may have waited for the ledger
        self._heartbeat.start()
        self._watchdog.start()

    def _may_claim(self) -> bool:
        is_backed_up = self._services.finishing.is_backed_up or self._journal.is_backed_up
        return not (self._services.pulse.ledger_is_away or is_backed_up)

    def _take(self, lease: Lease, claim: Claim) -> None:
        """Begin an attempt at each task that the claim brought, and fetch what it says is missing."""
        for task_id in claim.task_ids:
            attempt = Attempt(task_id, lease)
            if self._slots.take(attempt):
                self._executor.begin(attempt)
        for lane in claim.refill:
            self._services.background.spawn(self._services.refill.refill(lane), where="refill")

    def _on_lease_lost(self, lease: Lease) -> None:
        attempts = self._slots.held_by(lease)
        emit(LeaseLost(worker_id=lease.worker_id, reason=lease.lost_because or "", attempts=len(attempts)))
        for attempt in attempts:
            attempt.stop(StopReason.SUPERSEDED)
        if not self._is_quarantine:
            self._services.background.spawn(self._begin_anew(lease), where="worker")

    async def _begin_anew(self, lost: Lease) -> None:
        """Work on under a new id, or not at all."""
        try:
            await self._register_anew(lost)
        except Exception as error:
            self._end_broken(error)
            raise

    def _end_broken(self, error: BaseException) -> None:
        """What no waiting mends ends the process, and the supervisor starts another: one that lives and claims nothing
        would be replaced by nobody.
        """
        emit(Fault(where="worker", error_type=type(error).__name__, message=f"this worker ends: {error}"))
        self.stop_hard()

    async def _register_anew(self, lost: Lease) -> None:
        """Have the old id rescued, then take another."""
        reason = f"lease lost: {lost.lost_because}"
        rescue, lives = self._services.rescue, not lost.was_held_up
        await until_answered(lambda: rescue.rescue_worker(lost.worker_id, reason, process_lives=lives))
        lease = Lease(ids.new(ids.WORKER))
        self._on_new_id(lease.worker_id)
        await until_answered(lambda: self._registration.register_worker(lease))
        await self._hearing.listen(lease.worker_id)
        lease.confirm(clock.boottime_seconds())
        self._lease = lease
        self._heartbeat.follow(lease)
        self._claimer.wake()
        self._hearing.leave(lost.worker_id)
        emit(WorkerReady(worker_id=self.worker_id, agents=sorted(self._loaded.agents), slots=self._slots.total))

    async def _drain(self, claiming: asyncio.Task[None]) -> None:
        await Drain(
            ledger=self._services.ledger,
            plane=self._services.plane,
            starting=self._services.starting,
            slots=self._slots,
            claimer=self._claimer,
            heartbeat=self._heartbeat,
            lease=lambda: self._lease,
            grace_seconds=self._grace_seconds,
            hurry=self._hurry,
        ).run(claiming)

    async def _put_away(self) -> None:
        self._noted.close()
        self._watchdog.stop()
        await close_clients()

    async def _report_slots(self) -> None:
        """The gauge of slots, once a second while it changes; and the end of a process whose slots do not come back."""
        reported = -1
        while True:
            if self._slots.busy != reported:
                reported = self._slots.busy
                emit(WorkerSlots(free=max(0, self._slots.free), busy=reported))
            self._recycle_if_stuck()
            await asyncio.sleep(SLOTS_REPORT_SECONDS)

    def _recycle_if_stuck(self) -> None:
        """Nothing ends a thread that does not end but the end of its process: drain, and let whoever keeps it start another."""
        if self._slots.stuck_seconds <= self._recycle_after_seconds or self._draining.is_set():
            return
        message = (
            f"code that did not end when it was stopped has run on for {self._recycle_after_seconds:g} s: this worker drains and "
            "ends, and its supervisor starts another; bound the blocking calls of its agents"
        )
        emit(Fault(where="worker", error_type="StuckCode", message=message))
        self.drain()
