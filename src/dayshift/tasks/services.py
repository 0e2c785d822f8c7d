"""The services of one process, made of its two planes: doors and workers take what they need from here."""

import asyncio
from collections.abc import Callable, Mapping

from dayshift.domain.settings import Settings
from dayshift.hotplane import Plane, channels
from dayshift.ledger import Ledger
from dayshift.tasks.agents_known import AgentsKnown
from dayshift.tasks.announce import Announce
from dayshift.tasks.background import Background
from dayshift.tasks.control import Control
from dayshift.tasks.conversations import Conversations
from dayshift.tasks.depth import Admission
from dayshift.tasks.epoch import EpochWatch
from dayshift.tasks.family import Family
from dayshift.tasks.finishing import Finishing
from dayshift.tasks.intake import Intake, MaySpend, whatever_is_spent
from dayshift.tasks.lookup import Lookup
from dayshift.tasks.next_in_line import NextInLine
from dayshift.tasks.outbox import Outbox
from dayshift.tasks.policy import Policy
from dayshift.tasks.provider_waits import ProviderWaits
from dayshift.tasks.pulse import Pulse
from dayshift.tasks.pushes import Pushes
from dayshift.tasks.rates import TenantRates
from dayshift.tasks.rebuild import Rebuild
from dayshift.tasks.refill import Refill
from dayshift.tasks.rescue import Rescue
from dayshift.tasks.schedules import Schedules, Scheduling
from dayshift.tasks.starting import Starting
from dayshift.tasks.submitting import Submitting
from dayshift.tasks.waiting import Waiters
from dayshift.tasks.waking import Waking

_NO_PINS: Mapping[str, str] = {}


class Services:
    """Wires the rooms' parts. `open` after both planes are open; `close` before them; both safe to repeat.

    `settings` answers the present snapshot. Whoever refreshes it registers with `pulse.on_settings` before `open`, so
    that the hot plane is told of a version after this process has it. `worker_id` answers this process's worker id at
    this moment (None in a gateway or in maintenance). `may_spend` is asked before a task is accepted. `pins`: what tasks of the agents that this process pins are claimed by.
    """

    def __init__(
        self,
        ledger: Ledger,
        plane: Plane,
        settings: Callable[[], Settings],
        *,
        version: str | None = None,
        pins: Mapping[str, str] = _NO_PINS,
        worker_id: Callable[[], str | None] = lambda: None,
        may_spend: MaySpend = whatever_is_spent,
    ) -> None:
        self.ledger = ledger
        self.plane = plane
        self.settings = settings
        self.background = background = Background()
        self.pushes = pushes = Pushes(plane)
        self.pulse = Pulse(ledger, background, worker_id)
        self.epoch = EpochWatch(ledger, plane, background)
        self.policy = Policy(plane, settings)
        self.outbox = outbox = Outbox(plane, background)
        self.next_in_line = next_in_line = NextInLine(ledger, outbox, background)
        self.agents_known = AgentsKnown(ledger)
        self.admission = Admission(ledger, settings)
        self.waking = Waking(ledger, plane, outbox, background)
        self.control = Control(ledger, plane, outbox, next_in_line, waking=self.waking, background=background)
        self.conversations = Conversations(ledger, self.control)
        self.intake = Intake(ledger, outbox, self.agents_known, self.admission, self.conversations, may_spend=may_spend)
        self.submitting = Submitting(self.intake, TenantRates(plane, settings))
        self.schedules = Schedules(ledger, self.intake, self.submitting)
        self.scheduling = Scheduling(ledger, self.intake, self.admission)
        self.family = Family(ledger, outbox, self.waking, self.control, background)
        self.provider_waits = ProviderWaits(plane, self.waking, background)
        self.finishing = Finishing(
            ledger,
            outbox,
            next_in_line,
            version=version,
            on_child_ended=self.family.child_ended,
            on_parent_ended=self.family.parent_ended,
            on_provider_awaited=self.provider_waits.note,
        )
        self.starting = Starting(ledger, outbox, self.finishing, next_in_line, background, version=version, pins=pins)
        self.refill = Refill(ledger, plane)
        self.lookup = lookup = Lookup(ledger, background)
        self.waiters = Waiters(ledger, plane, pushes, background, lookup)
        self.announce = announce = Announce(ledger, plane)
        self.rescue = Rescue(ledger, plane, outbox, next_in_line, announce)
        self.rebuild = Rebuild(ledger, plane, self.policy, announce)
        self._is_open = False

    async def open(self) -> None:
        """Learn the epoch, hear pushes, and beat. Raises `LedgerAway`; waits for the plane for its time-out at most."""
        if self._is_open:
            return
        await self.epoch.open()
        self._is_open = True
        self.pulse.on_epoch(self._new_epoch)
        self.pulse.on_settings(self.policy.apply)
        self.pulse.on_registry(self.agents_known.refresh)
        self.pulse.on_beat(self.admission.refresh)
        self.pushes.on_reconnected(self.pulse.kick)
        await self.pushes.listen(channels.ALL, self._hear)
        await self.pulse.beat()
        self.pulse.open()

    async def close(self, grace_seconds: float = 5.0) -> None:
        """Let waiters go, tell the plane what is left to tell within the grace, and stop."""
        if not self._is_open:
            return
        self._is_open = False
        await self.waiters.close()
        await self.pulse.close()
        await self._deliver_within(grace_seconds)
        await self.pushes.close()
        await self.background.finish_within(0.0)

    async def _deliver_within(self, grace_seconds: float) -> None:
        try:
            async with asyncio.timeout(grace_seconds):
                await self.starting.all_given_back()
                await self.finishing.finished()
                await self.next_in_line.called()
                await self.outbox.delivered()
        except TimeoutError:
            return  # maintenance finds what was not told

    async def _new_epoch(self, epoch: int) -> None:
        await self.epoch.learn(epoch)
        self.waiters.look_again()

    def _hear(self, payload: bytes) -> None:
        self.epoch.hear(payload)
        self.pulse.kick()
