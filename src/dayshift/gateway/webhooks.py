"""Webhook endpoints: who is told of a tenant's tasks, in the shape that the OpenAI client manages (`client.webhooks`).

They belong to the caller's tenant, and hear of all its tasks. A secret is shown once, in the answer that made it. `default` names what signs the deliveries to the addresses that single
tasks come with: it can be read, and its secret rotated.

A test is a delivery like any other, made by a worker: a gateway calls nobody.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import UNSET, Struct

from dayshift.domain import ids, webhooks
from dayshift.domain.addresses import checked_target
from dayshift.domain.clock import now
from dayshift.domain.errors import FieldError, InvalidInput
from dayshift.domain.settings import Settings
from dayshift.domain.task import Status, Task
from dayshift.domain.webhooks import Delivered, Delivery, Endpoint
from dayshift.gateway.bodies import checked_json, read_json, read_unchecked
from dayshift.gateway.pages import after_id
from dayshift.gateway.paths import typed
from dayshift.gateway.problems import HttpError
from dayshift.gateway.replies import Reply, header, json_reply
from dayshift.gateway.request import Request
from dayshift.gateway.webhook_shapes import (
    DEFAULT,
    DeletedEndpoint,
    EndpointChange,
    EndpointPage,
    EndpointRequest,
    EndpointTested,
    EndpointTestRequest,
    EventTypeList,
    RotateRequest,
    in_order,
    view_of,
    with_secret,
)
from dayshift.tasks.services import Services

MAX_BODY_BYTES = 16_384
MOST_ENDPOINTS = 100
OLD_SECRET_SECONDS = 86_400.0
TEST_SECONDS = 25.0  # what a receiver may take, and a worker's slot to come free
Body = TypeVar("Body", bound=Struct)
_FINAL = header("x-should-retry", "false")


class WebhooksDoor:
    def __init__(self, services: Services, settings: Callable[[], Settings]) -> None:
        self._services = services
        self._ledger = services.ledger.webhooks
        self._settings = settings

    async def create(self, request: Request) -> Reply:
        """Make an endpoint, and show its secret."""
        wanted = typed(await read_json(request, MAX_BODY_BYTES), EndpointRequest)
        check_url(wanted.url, "url", self._settings())
        secret = webhooks.make_secret()
        made = await self._ledger.create(
            ids.new(ids.WEBHOOK),
            request.tenant,
            name=wanted.name,
            url=wanted.url,
            event_types=in_order(wanted.event_types),
            secret=secret,
            most=MOST_ENDPOINTS,
        )
        if made is None:
            raise HttpError(
                409, "too_many_endpoints", f"there are {MOST_ENDPOINTS} endpoints already; delete one first"
            )
        return json_reply(with_secret(made, secret), 201)

    async def list(self, request: Request) -> Reply:
        page = request.query(EndpointPage)
        after = after_id(page.after, ids.WEBHOOK, "an endpoint")
        found = await self._ledger.list(request.tenant, limit=page.limit + 1, after=after)
        views = [view_of(one) for one in found[: page.limit]]
        return json_reply(
            {
                "object": "list",
                "data": views,
                "has_more": len(found) > page.limit,
                "first_id": views[0].id if views else None,
                "last_id": views[-1].id if views else None,
            }
        )

    async def get(self, request: Request) -> Reply:
        return json_reply(view_of(await self._named(request)))

    async def update(self, request: Request) -> Reply:
        """Change what is given."""
        wanted = typed(await read_json(request, MAX_BODY_BYTES), EndpointChange)
        if wanted.url is not UNSET:
            check_url(wanted.url, "url", self._settings())
        changed = await self._ledger.update(
            request.tenant,
            request.params["id"],
            name=None if wanted.name is UNSET else wanted.name,
            url=None if wanted.url is UNSET else wanted.url,
            event_types=None if wanted.event_types is UNSET else in_order(wanted.event_types),
            enabled=None if wanted.enabled is UNSET else wanted.enabled,
        )
        return json_reply(view_of(changed))

    async def delete(self, request: Request) -> Reply:
        """Tell nobody there any more; what is under way is dropped."""
        await self._ledger.delete(request.tenant, request.params["id"])
        return json_reply(DeletedEndpoint(id=request.params["id"]))

    async def rotate(self, request: Request) -> Reply:
        """Another secret, shown once."""
        wanted = await _optional(request, RotateRequest())
        endpoint, secret = await self._named(request), webhooks.make_secret()
        keep_seconds = OLD_SECRET_SECONDS if wanted.keep_old_secret_active_for_24_hours else 0.0
        rotated = await self._ledger.rotate(endpoint, secret, keep_old_seconds=keep_seconds)
        return json_reply(with_secret(rotated, secret))

    async def test(self, request: Request) -> Reply:
        """Have a sample delivered, and answer what the receiver said."""
        wanted = await _optional(request, EndpointTestRequest())
        request.stay()
        endpoint = await self._ledger.get(request.tenant, request.params["id"])
        delivery = Delivery(type=wanted.event_type, timestamp=now(), endpoint=endpoint.id.removeprefix(ids.WEBHOOK))
        request.rest()
        ended = await self._delivered(request.tenant, delivery)
        if ended is None:
            raise HttpError(
                409, "no_worker", "no worker delivered the test in time; start one, then test again", headers=[_FINAL]
            )
        if ended.status is not Status.SUCCEEDED:
            why = ended.error.message if ended.error is not None else "it was cancelled"
            raise HttpError(422, "webhook_unreachable", f"the receiver was not told: {why}", headers=[_FINAL])
        status = msgspec.json.decode(bytes(ended.output), type=Delivered).status_code
        if status is None:
            raise HttpError(409, "endpoint_deleted", "the endpoint was deleted before it was tested", headers=[_FINAL])
        return json_reply(
            EndpointTested(webhook_endpoint_id=endpoint.id, event_type=wanted.event_type, status_code=status)
        )

    async def event_types(self, _request: Request) -> Reply:
        """What can be listened to."""
        return json_reply(EventTypeList(data=list(webhooks.EVENT_TYPES)))

    async def _delivered(self, tenant: str, delivery: Delivery) -> Task | None:
        delivery_id = ids.new(ids.TASK)
        body = msgspec.json.encode({"delivery": delivery})
        place = await self._ledger.make_test(delivery_id, tenant, body, ids.trace_id())
        if place is not None:
            self._services.outbox.place(place)
        return await self._services.waiters.wait(delivery_id, tenant, TEST_SECONDS)

    async def _named(self, request: Request) -> Endpoint:
        if request.params["id"] == DEFAULT:
            return await self._ledger.default(request.tenant)
        return await self._ledger.get(request.tenant, request.params["id"])


def check_url(url: str, path: str, settings: Settings) -> None:
    """Raise InvalidInput for where no webhook may go."""
    try:
        checked_target(url, allow_private=settings.webhooks.allow_private)
    except ValueError as error:
        raise InvalidInput(f"{path} {error}", [FieldError(path=path, message=str(error))]) from None


async def _optional(request: Request, default: Body) -> Body:
    body = await read_unchecked(request, MAX_BODY_BYTES)
    return typed(checked_json(body), type(default)) if body.strip() else default
