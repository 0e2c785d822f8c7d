"""Webhooks: who listens, to what, and the secrets that say who speaks (Standard Webhooks, standardwebhooks.com)."""

import os
from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from dayshift.domain.task import Notice, Status, TaskError, Timing, Usage, WaitingFor

AGENT: Final = "dayshift.webhook"
QUEUE: Final = "system"

EventType = Literal["task.succeeded", "task.failed", "task.cancelled", "task.waiting"]
EVENT_TYPES: Final[tuple[EventType, ...]] = ("task.succeeded", "task.failed", "task.cancelled", "task.waiting")
TEST: Final = "test"

ENDPOINT_PREFIX: Final = "wh_"
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - only how secrets begin
SECRET_BYTES = 32
HINT_CHARACTERS = 4
Url = Annotated[str, Meta(min_length=1, max_length=2_048, extra_json_schema={"pattern": "^https?://[!-~]+$"})]


def make_secret() -> str:
    """A secret to sign with. Whoever knows it can speak as we do: it is shown once, to the tenant that it belongs to."""
    return SECRET_PREFIX + b64encode(os.urandom(SECRET_BYTES)).decode()


def hint_of(secret: str) -> str:
    """What may still be seen of a secret later: enough to tell two of them apart."""
    return f"{SECRET_PREFIX}...{secret.rstrip('=')[-HINT_CHARACTERS:]}"


class Endpoint(Struct, frozen=True, kw_only=True):
    """Who listens. Without a `url` it only holds the secret by which deliveries to the addresses of single tasks are signed."""

    id: str
    tenant: str
    name: str
    url: str | None
    event_types: list[str]
    secret: str
    old_secret: str | None
    old_secret_until: datetime | None
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None = None
    disabled_why: str | None = None

    def secrets_at(self, moment: datetime) -> list[str]:
        """What to sign with: two secrets while one is being replaced by the other."""
        is_old_valid = self.old_secret_until is not None and moment < self.old_secret_until
        return [self.secret, self.old_secret] if is_old_valid and self.old_secret is not None else [self.secret]

    def __repr__(self) -> str:
        return f"Endpoint({self.id})"  # no secret gets into a log by way of its owner


class Push(Struct, frozen=True, kw_only=True):
    """An address that an A2A client wants told of its task, with what shows who speaks there."""

    url: str
    token: str | None = None
    scheme: str | None = None
    credentials: str | None = None

    def __repr__(self) -> str:
        return "Push()"  # no secret gets into a log by way of its owner


class Became(Struct, frozen=True, kw_only=True):
    """What a task was at the moment that is told of, where that may change later."""

    status: Status
    attempt: int
    failures: int
    losses: int
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    version: str | None
    error: TaskError | None
    waiting_for: WaitingFor | None
    notice: Notice | None
    usage: Usage | None
    timing: Timing | None


class Delivery(Struct, frozen=True, kw_only=True):
    """The input of the agent that delivers. `endpoint` None: to the address that the task itself came with, or, if `push` is given, to
    the one that an A2A client gave this name. `became` None: a test.
    """

    type: str
    timestamp: datetime
    endpoint: str | None
    push: str | None = None
    became: Became | None = None


class Delivered(Struct, frozen=True, kw_only=True):
    """The output of a delivery. `status_code` None: there was nobody to tell any more."""

    webhook_id: str
    outcome: str
    status_code: int | None = None


def sample_of(tenant: str, event_type: str, moment: datetime) -> dict[str, Any]:
    """The task that a test tells of: as true ones look, and recognisable as none."""
    status = event_type.removeprefix("task.")
    return {
        "id": "task_00000000-0000-7000-8000-000000000000",
        "agent": "test",
        "status": status,
        "input": {},
        "output": None,
        "error": None,
        "tenant": tenant,
        "created_at": moment,
        "metadata": {"test": True},
    }
