"""What is told, and signed.

The body is made anew for each try and is the same each time: of the task's row, whose payloads never change, and of what the
delivery itself remembers, which is all that may change (a dead letter that is retried, a wait that is over).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw
from standardwebhooks import Webhook

from dayshift._version import __version__
from dayshift.domain import a2a, clock, webhooks
from dayshift.domain.task import Status, Task, Timing, Usage
from dayshift.domain.webhooks import Became, Delivery, Endpoint, Push


def body_of(delivery: Delivery, task: Task | None, tenant: str) -> bytes:
    """What is told, to the byte the same on every try."""
    told: Any = webhooks.sample_of(tenant, delivery.type, delivery.timestamp)
    if task is not None and delivery.became is not None:
        told = _as_it_became(task, delivery.became)
        if delivery.push is not None:
            return msgspec.json.encode({"task": a2a.task_json(told)})
    return msgspec.json.encode({"type": delivery.type, "timestamp": delivery.timestamp, "data": told})


def _as_it_became(task: Task, became: Became) -> Task:
    timing = became.timing or Timing()
    if became.finished_at is not None:
        total = max(0.0, (became.finished_at - task.created_at).total_seconds())
        timing = msgspec.structs.replace(timing, total=round(total, 6))
    return msgspec.structs.replace(
        task,
        status=became.status,
        output=task.output if became.status is Status.SUCCEEDED else Raw(b"null"),
        error=became.error,
        attempt=became.attempt,
        failures=became.failures,
        losses=became.losses,
        run_at=became.run_at.astimezone(UTC),
        started_at=_utc(became.started_at),
        finished_at=_utc(became.finished_at),
        version=became.version,
        waiting_for=became.waiting_for,
        notice=became.notice,
        usage=became.usage or Usage(),
        timing=timing,
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def signatures(secrets: Sequence[str], webhook_id: str, moment: datetime, body: str) -> str:
    """One of each secret, as the header has them."""
    return " ".join(Webhook(secret).sign(webhook_id, moment, body) for secret in secrets)


def headers_of(
    webhook_id: str, endpoint: Endpoint, delivery: Delivery, body: bytes, push: Push | None = None
) -> Mapping[str, str]:
    """Signed for this moment."""
    moment = clock.now().replace(microsecond=0)
    return {
        "content-type": "application/json",
        "user-agent": f"dayshift/{__version__}",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signatures(endpoint.secrets_at(moment), webhook_id, moment, body.decode()),
        "webhook-sequence": str(round(delivery.timestamp.timestamp() * 1_000_000)),
        **(_shown_by(push) if push is not None else {}),
    }


def _shown_by(push: Push) -> Mapping[str, str]:
    """What an A2A client asked to be shown, beside our signature."""
    shown = {}
    if push.token:
        shown["x-a2a-notification-token"] = push.token
    if push.scheme and push.credentials:
        shown["authorization"] = f"{push.scheme} {push.credentials}"
    return shown
