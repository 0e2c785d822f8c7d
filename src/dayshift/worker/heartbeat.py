"""Keeps the worker's lease in both planes, from a thread of its own.

A blocked event loop is not a dead worker, so nothing here touches it: the thread has an event loop, a ledger and a
plane of its own, and asks the worker's loop for nothing. Its duties:

1. Beat in the ledger every 2 s: the row's time, how many attempts run; the answer says whether others have declared
   this worker dead (`released`, for good) and which tasks a person wants cancelled.
2. Beat in the hot plane every 2 s, with the digest of what is held; on a difference send the full list. Each plane has
   a loop of its own, so that one that hangs does not hold up the other.
3. Notice that the lease is lost (released, confirmed by neither plane for 8 s, or so said by a refused start), and tell.

When it cannot go on at all, it says so (`on_broken`): a worker without a heart would live and claim nothing.

What it learns it hands to the worker's event loop. When that is blocked, the lease object says "lost" all the same.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dayshift.domain import clock
from dayshift.domain.errors import DependencyAway, PlaneNotReady
from dayshift.domain.events import Fault
from dayshift.hotplane import Plane, digest
from dayshift.ledger import Ledger
from dayshift.telemetry import emit
from dayshift.worker.lease import Lease
from dayshift.worker.slots import Slots

BEAT_SECONDS = 2.0
LOOK_SECONDS = 0.25
HELD_UP_SECONDS = 4.0  # half of what a lease is good for

Word = TypeVar("Word")
Planes = Callable[[], tuple[Ledger, Plane]]


class Heartbeat:
    """`start` once; `follow` a new lease when the old one is lost; `stop` once, and it is safe to stop it twice.

    `holds_claims` is False in a quarantine process: its one task was claimed by another worker.
    """

    def __init__(
        self,
        lease: Lease,
        slots: Slots,
        planes: Planes,
        *,
        on_lost: Callable[[Lease], None],
        on_cancels: Callable[[list[str]], None],
        on_broken: Callable[[BaseException], None],
        loop_lag_seconds: Callable[[], float],
        is_draining: Callable[[], bool],
        holds_claims: bool = True,
    ) -> None:
        self._lease = lease
        self._slots = slots
        self._planes = planes
        self._on_lost = on_lost
        self._on_cancels = on_cancels
        self._on_broken = on_broken
        self._loop_lag_seconds = loop_lag_seconds
        self._is_draining = is_draining
        self._holds_claims = holds_claims
        self._workers_loop = asyncio.get_running_loop()
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._told_lost: Lease | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run_thread, name="dayshift-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def follow(self, lease: Lease) -> None:
        """Beat for this lease from now on."""
        self._lease = lease

    async def stop(self) -> None:
        """End the beats; the lease stays as it is until its owner releases it."""
        self._stopped = True
        own_loop, main = self._own_loop, self._main
        if own_loop is not None and main is not None and not own_loop.is_closed():
            own_loop.call_soon_threadsafe(main.cancel)
        await asyncio.to_thread(self._thread.join, 5.0)

    def _run_thread(self) -> None:
        try:
            asyncio.run(self._beat_until_stopped())
        except asyncio.CancelledError:
            return
        except BaseException as error:  # noqa: BLE001 - nobody joins a thread for its error: the worker is told
            emit(Fault.of("heartbeat", error))
            self._tell(self._on_broken, error)

    async def _beat_until_stopped(self) -> None:
        self._own_loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        ledger, plane = self._planes()
        try:
            if not self._stopped:
                await asyncio.gather(
                    self._every_beat(ledger.open, lambda: self._beat_ledger(ledger, plane)),
                    self._every_beat(plane.open, lambda: self._beat_plane(plane)),
                    self._watch_lease(),
                )
        finally:
            await asyncio.gather(ledger.close(), plane.close(), return_exceptions=True)

    async def _every_beat(self, open_it: Callable[[], Awaitable[None]], beat: Callable[[], Awaitable[None]]) -> None:
        """Open, and then beat; whatever is away is tried again at the next beat.

        What cannot be opened for another reason (a password that is wrong by now) ends the heart: no beat would follow.
        """
        is_open = False
        while True:
            began_mono = clock.monotonic_seconds()
            try:
                with contextlib.suppress(DependencyAway):  # its room has reported it, and the lease ages by itself
                    if not is_open:
                        await open_it()
                        is_open = True
                    if self._lease.is_valid():
                        await beat()
            except Exception as error:
                if not is_open:
                    raise
                emit(Fault.of("heartbeat", error))
            await asyncio.sleep(max(0.0, BEAT_SECONDS - (clock.monotonic_seconds() - began_mono)))

    async def _beat_ledger(self, ledger: Ledger, plane: Plane) -> None:
        lease, sent_boottime = self._lease, clock.boottime_seconds()
        answer = await ledger.workers.beat(
            lease.worker_id,
            running=self._slots.busy,
            draining=self._is_draining(),
            loop_lag_seconds=self._loop_lag_seconds(),
        )
        plane.epoch = answer.epoch
        if answer.released:
            lease.lose("declared dead by others")
            return
        lease.confirm(sent_boottime)
        if answer.cancels:
            self._tell(self._on_cancels, answer.cancels)

    async def _beat_plane(self, plane: Plane) -> None:
        lease, sent_boottime = self._lease, clock.boottime_seconds()
        held = self._slots.held_by(lease) if self._holds_claims else []
        task_ids = [attempt.task_id for attempt in held]
        try:
            reply = await plane.beat(lease.worker_id, len(task_ids), digest(task_ids))
        except PlaneNotReady:
            lease.confirm(sent_boottime)  # a plane that is being rebuilt compares nothing, but it renews the lease
            raise
        lease.confirm(sent_boottime)
        if reply == "differs":
            places = [place for attempt in held if (place := attempt.place) is not None]
            await plane.reconcile(lease.worker_id, task_ids, places)

    async def _watch_lease(self) -> None:
        while True:
            slept_boottime = clock.boottime_seconds()
            await asyncio.sleep(LOOK_SECONDS)
            lease = self._lease
            if clock.boottime_seconds() - slept_boottime > HELD_UP_SECONDS:
                lease.note_held_up()
            if not lease.is_valid() and lease is not self._told_lost:
                self._told_lost = lease
                self._tell(self._on_lost, lease)

    def _tell(self, listener: Callable[[Word], None], word: Word) -> None:
        if not self._workers_loop.is_closed():
            self._workers_loop.call_soon_threadsafe(listener, word)
