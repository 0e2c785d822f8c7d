"""What a request may say, checked before it becomes a row."""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from dayshift.domain.task import DEFAULT_PRIORITY

OnBusy = Literal["enqueue", "reject", "interrupt"]


class WebhookRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str


class TaskRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/tasks`, typed but not yet checked: `Intake.submit` does that.

    `delay`, `timeout` in seconds. `idempotency_key` is a field of batch items; a door sets it from its header.
    """

    agent: str
    input: msgspec.Raw = msgspec.Raw(b"null")
    conversation: str | None = None
    user: str | None = None
    priority: int = DEFAULT_PRIORITY
    run_at: datetime | None = None
    delay: float | None = None
    timeout: float | None = None
    expires_at: datetime | None = None
    webhook: WebhookRequest | None = None
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    on_busy: OnBusy = "enqueue"
    idempotency_key: str | None = None
