"""Webhook endpoints as they are asked for and shown: the shapes that the OpenAI client knows."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from dayshift.domain import ids, webhooks
from dayshift.domain.webhooks import Endpoint, EventType, Url
from dayshift.gateway.pages import After, Page, last_id

DEFAULT = "default"

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
EventTypes = Annotated[list[EventType], Meta(min_length=1, max_length=4)]


class EndpointRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/webhook_endpoints`."""

    url: Url
    event_types: EventTypes
    name: Name = "webhook"


class EndpointChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed. `enabled`: whether it is told at all; a receiver that answers 410 is switched off."""

    url: Url | UnsetType = UNSET
    event_types: EventTypes | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class EndpointPage(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of the list of endpoints."""

    after: Annotated[After, last_id(ids.WEBHOOK)] | None = None


class RotateRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without the old secret kept, it signs no more from now on."""

    keep_old_secret_active_for_24_hours: bool = False


class EndpointTestRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which type the sample is."""

    event_type: EventType = "task.succeeded"


class EndpointView(Struct, frozen=True, kw_only=True):
    """An endpoint. Times are whole seconds since 1970, as the OpenAI client reads them."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    name: str
    url: str | None
    event_types: list[str]
    created_at: int
    updated_at: int
    signing_secret_hint: str
    enabled: bool
    disabled_at: int | None
    disabled_why: str | None


class EndpointWithSecret(EndpointView, frozen=True, kw_only=True):
    """An endpoint whose secret was just made, and is shown this once."""

    signing_secret: str


class DeletedEndpoint(Struct, frozen=True, kw_only=True):
    id: str
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    deleted: bool = True


class EndpointTested(Struct, frozen=True, kw_only=True):
    """`status_code` is what the receiver answered; one that gave no answer is a problem instead."""

    webhook_endpoint_id: str
    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    event_type: str
    status_code: int
    success: Literal[True] = True


class EventTypeList(Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[str]


def in_order(types: Iterable[EventType]) -> Sequence[EventType]:
    return sorted(set(types), key=webhooks.EVENT_TYPES.index)


def view_of(endpoint: Endpoint) -> EndpointView:
    return EndpointView(**_fields(endpoint))


def with_secret(endpoint: Endpoint, secret: str) -> EndpointWithSecret:
    return EndpointWithSecret(**_fields(endpoint), signing_secret=secret)


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    is_default = endpoint.url is None
    return {
        "id": DEFAULT if is_default else endpoint.id,
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": list(webhooks.EVENT_TYPES) if is_default else endpoint.event_types,
        "created_at": _seconds(endpoint.created_at),
        "updated_at": _seconds(endpoint.updated_at),
        "signing_secret_hint": webhooks.hint_of(endpoint.secret),
        "enabled": endpoint.disabled_at is None,
        "disabled_at": None if endpoint.disabled_at is None else _seconds(endpoint.disabled_at),
        "disabled_why": endpoint.disabled_why,
    }


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
