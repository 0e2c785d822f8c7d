"""The hot plane as the rest of the house sees it: one object over one pipelined connection.

It carries order, leases, streams and wake-ups, and no truth: whatever it says, the ledger decides whether a task runs,
and all of it may be lost at any moment (`PlaneNotReady` until it is rebuilt). Its topics are one file each:

    dispatch.py   enqueue, claim, ack, release: whose turn it is
    leases.py     beats and what a worker holds
    epochs.py     loss, rebuild and the settings that order depends on
    streams.py    the live events of a task
    parked.py     who waits for a provider
    breakers.py   which providers are ill, and who may try them
    budgets.py    what may still be spent
    rates.py      what tenants and users may still submit
    retries.py    how many retries the fleet may make
    limits.py     what a provider lets all workers use
    answers.py    answers of providers, to be given again
"""

import asyncio
from collections.abc import Callable

from dayshift.domain.errors import PlaneAway
from dayshift.domain.events import Event
from dayshift.hotplane.answers import Answers
from dayshift.hotplane.breakers import Breakers
from dayshift.hotplane.budgets import Budgets
from dayshift.hotplane.connection import Wire
from dayshift.hotplane.dispatch import Dispatch
from dayshift.hotplane.epochs import Epochs
from dayshift.hotplane.leases import Leases
from dayshift.hotplane.limits import Limits
from dayshift.hotplane.parked import ParkedForProviders
from dayshift.hotplane.rates import Rates
from dayshift.hotplane.retries import Retries
from dayshift.hotplane.server_check import check_server
from dayshift.hotplane.state import HotBound, State
from dayshift.hotplane.streams import Streams
from dayshift.hotplane.subscription import Subscription

AGAIN_SECONDS = 0.5


class Plane(Dispatch, Leases, Epochs, Streams, ParkedForProviders, Breakers, Retries, Limits, Budgets, Rates, Answers):
    """Valkey, or Redis from 7.0. Belongs to the event loop that opened it; another thread opens a plane of its own.

    Every method raises `PlaneAway` when no answer came within a second (the call may have been carried out: each can be
    repeated), and the methods over state raise `PlaneNotReady` while the plane's epoch is not `epoch`.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 1.0,
        hot_bound: HotBound | None = None,
        emit: Callable[[Event], None] | None = None,
    ) -> None:
        wire = Wire(url, timeout_seconds=timeout_seconds, emit=emit)
        super().__init__(State(wire, hot_bound or HotBound()))
        self._wire = wire

    @property
    def epoch(self) -> int:
        """The epoch that this process believes in; its owner sets it from the ledger."""
        return self._state.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._state.epoch = epoch

    @property
    def on_not_ready(self) -> Callable[[], None] | None:
        """Called, in the loop, each time that the plane answers NOT_READY; its owner reads the ledger's epoch."""
        return self._state.on_not_ready

    @on_not_ready.setter
    def on_not_ready(self, call: Callable[[], None] | None) -> None:
        self._state.on_not_ready = call

    async def open(self) -> None:
        """Connect and check the server: its version, its eviction policy, that it is no cluster.

        `WrongUse` says the cure when the server can not be used; `PlaneAway` when it does not answer: then it is closed.
        """
        await self._wire.open()
        await check_server(self._wire)

    async def open_whenever(self) -> None:
        """Like `open`, for a server that is away: the attempts go on, and this returns when one came through.

        Raises `WrongUse` like `open`. Cancelled, it leaves the attempts to go on until `close`.
        """
        self._wire.open_in_background()
        while True:
            try:
                await check_server(self._wire)
            except PlaneAway:
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    async def close(self) -> None:
        """Close the connection; closing twice is safe."""
        await self._wire.close()

    def subscriber(self, take: Callable[[str, bytes], None] | None = None) -> Subscription:
        """A connection of its own for push messages, handed to `take`; one a process is enough."""
        return Subscription(self._wire.address, timeout_seconds=self._wire.timeout_seconds, take=take)

    async def publish(self, channel: str, payload: str) -> int:
        """Push a message; answers how many connections received it."""
        return int(await self._wire.ask(b"PUBLISH", channel, payload))
