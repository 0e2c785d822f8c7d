"""Puts the door together from its collaborators."""

import contextlib
from collections.abc import Callable

from msgspec import Struct
from starlette.types import Receive, Scope, Send

from dayshift.domain.errors import DependencyAway
from dayshift.domain.settings import Settings
from dayshift.gateway.a2a import A2aDoor, a2a_routes
from dayshift.gateway.auth import Gatekeeper
from dayshift.gateway.connections import Connections, half_of_the_open_files
from dayshift.gateway.conversations import ConversationsDoor
from dayshift.gateway.cors import Cors
from dayshift.gateway.door import Door
from dayshift.gateway.drain import Drain
from dayshift.gateway.effects import EffectsDoor
from dayshift.gateway.events import Events
from dayshift.gateway.keyring import KeyRing
from dayshift.gateway.keys import Keys
from dayshift.gateway.lists import Lists
from dayshift.gateway.openapi import openapi_route
from dayshift.gateway.probes import Probes
from dayshift.gateway.responses import ResponsesDoor, response_routes
from dayshift.gateway.routes import Route, Routes
from dayshift.gateway.schedules import SchedulesDoor
from dayshift.gateway.settings import SettingsDoor
from dayshift.gateway.signals import SignalDoor
from dayshift.gateway.table import (
    admin_routes,
    conversation_routes,
    effect_routes,
    list_routes,
    public_routes,
    schedule_routes,
    signal_routes,
    task_routes,
    webhook_routes,
)
from dayshift.gateway.tasks import TaskDoor
from dayshift.gateway.webhooks import WebhooksDoor
from dayshift.hotplane import channels
from dayshift.settings import SettingsStore
from dayshift.tasks.services import Services


class GatewayServices(Struct, frozen=True, kw_only=True):
    """What the door needs. `settings` answers the snapshot in force; `open_loopback` is for `dayshift run` alone."""

    tasks: Services
    settings: Callable[[], Settings]
    settings_store: SettingsStore
    open_loopback: bool = False


class Gateway(Door):
    """The ASGI app of one gateway process. Build it before the pulse opens; `open` it before the first request.

    Opening reads the keys and makes it ready; `drain.begin()` starts its leave; closing writes down which keys were used.
    """

    def __init__(self, services: GatewayServices) -> None:
        self.drain = Drain()
        self.keys = KeyRing(services.tasks.ledger.keys)
        self.table = route_table(services, self.drain, self.keys)
        super().__init__(
            Routes(self.table),
            Gatekeeper(self.keys, open_loopback=services.open_loopback),
            self.drain,
            Connections(services.settings, half_of_the_open_files()),
        )
        self._for_pages = Cors(super().__call__, services.settings)
        self.drain.on_begin(services.tasks.waiters.let_go)
        services.tasks.pulse.on_keys(self.keys.refresh)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._for_pages(scope, receive, send)

    async def open(self) -> None:
        await self.keys.open()
        self.drain.ready()

    async def close(self) -> None:
        await self.keys.close()


def build_app(services: GatewayServices) -> Gateway:
    """The gateway's ASGI app, not yet opened."""
    return Gateway(services)


def route_table(services: GatewayServices, drain: Drain, ring: KeyRing) -> list[Route]:
    """Every route of the door; the last one describes them all."""
    tasks = services.tasks

    async def tell_all() -> None:
        tasks.pulse.kick()
        with contextlib.suppress(DependencyAway):  # the poll of each second tells them, too
            await tasks.plane.publish(channels.ALL, "look")

    async def keys_changed() -> None:
        await ring.refresh()
        await tell_all()

    table = [
        *task_routes(TaskDoor(tasks, services.settings, drain), Events(tasks)),
        *effect_routes(EffectsDoor(tasks)),
        *conversation_routes(ConversationsDoor(tasks)),
        *signal_routes(SignalDoor(tasks)),
        *webhook_routes(WebhooksDoor(tasks, services.settings)),
        *schedule_routes(SchedulesDoor(tasks, services.settings)),
        *a2a_routes(A2aDoor(tasks, services.settings)),
        *response_routes(ResponsesDoor(tasks, services.settings, drain)),
        *list_routes(Lists(tasks)),
        *admin_routes(
            Keys(tasks.ledger, keys_changed), SettingsDoor(services.settings_store, services.settings, tell_all)
        ),
        *public_routes(Probes(tasks, drain)),
    ]
    return [*table, openapi_route(table)]
