"""From a checked body to the wish that `tasks.Intake` accepts or refuses."""

import msgspec

from dayshift.domain.errors import DayshiftError, FieldError, InvalidInput
from dayshift.domain.settings import Settings
from dayshift.gateway.batches import batch_outline
from dayshift.gateway.bodies import checked_json
from dayshift.gateway.headers import check_idempotency_key
from dayshift.gateway.paths import invalid, typed
from dayshift.gateway.problems import HttpError
from dayshift.gateway.webhooks import check_url
from dayshift.tasks.inputs import TaskRequest

MAX_BATCH = 1_000


def one_request(body: bytes, key: str | None, settings: Settings) -> TaskRequest:
    """The request of `POST /v1/tasks`, with the key of its header."""
    wish = _allowed(typed(body, TaskRequest), settings)
    if wish.idempotency_key is not None:
        raise _wrong("idempotency_key", "belongs into the header Idempotency-Key here; only batch items carry it")
    return wish if key is None else msgspec.structs.replace(wish, idempotency_key=key)


def batch_items(raw: bytes, settings: Settings) -> list[TaskRequest | DayshiftError]:
    """The requests of a batch, in order: each one typed, or the error that concerns it alone."""
    items = batch_outline(raw)
    if not 1 <= len(items) <= MAX_BATCH:
        raise _wrong("tasks", f"must hold 1 to {MAX_BATCH} tasks, not {len(items)}")
    return [_item(item, f"tasks[{index}]", settings) for index, item in enumerate(items)]


def _item(raw: bytes, where: str, settings: Settings) -> TaskRequest | DayshiftError:
    try:
        wish = _allowed(typed(checked_json(raw, where), TaskRequest, where), settings)
        if wish.idempotency_key is not None:
            check_idempotency_key(wish.idempotency_key)
    except (InvalidInput, HttpError) as error:
        return error
    return wish


def _allowed(wish: TaskRequest, settings: Settings) -> TaskRequest:
    """Refuse a webhook to where none may go."""
    if wish.webhook is not None:
        check_url(wish.webhook.url, "webhook.url", settings)
    return wish


def _wrong(path: str, message: str) -> InvalidInput:
    return invalid(FieldError(path=path, message=message))
