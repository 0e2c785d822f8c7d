"""What a request may say, checked before it becomes a row: every fault of it at once, each with its path."""

import hashlib
import math
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from dayshift.domain.addresses import LONGEST_URL, target_of
from dayshift.domain.clock import now
from dayshift.domain.errors import FieldError, InvalidInput
from dayshift.domain.task import DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY
from dayshift.tasks import json_values
from dayshift.tasks.json_values import Unfit

OnBusy = Literal["enqueue", "reject", "interrupt"]

LONGEST_NAME = 255
LONGEST_WAIT_SECONDS = 10 * 366 * 86_400
LONGEST_TIMEOUT_SECONDS = 366 * 86_400


def _described(**schema: Any) -> Meta:
    """What is checked by `check`, with every other fault at once, and here only told to whoever reads the schema."""
    return Meta(extra_json_schema=schema)


ShortText = Annotated[str, _described(minLength=1, maxLength=LONGEST_NAME, pattern=r"^[^\u0000]*$")]
Priority = Annotated[int, _described(minimum=LOWEST_PRIORITY, maximum=HIGHEST_PRIORITY)]
TimeoutSeconds = Annotated[float, _described(exclusiveMinimum=0, maximum=LONGEST_TIMEOUT_SECONDS)]
Metadata = Annotated[msgspec.Raw, _described(type=["object", "null"])]


class WebhookRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[str, _described(pattern="^https?://[!-~]+$", maxLength=LONGEST_URL)]


class TaskRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/tasks`, typed but not yet checked: `Intake.submit` does that.

    `delay`, `timeout` in seconds. `idempotency_key` is a field of batch items; a door sets it from its header.
    """

    agent: ShortText
    input: msgspec.Raw = msgspec.Raw(b"{}")
    conversation: ShortText | None = None
    user: ShortText | None = None
    priority: Priority = DEFAULT_PRIORITY
    run_at: Annotated[datetime, _described(format="date-time")] | None = None
    delay: Annotated[float, _described(minimum=0, maximum=LONGEST_WAIT_SECONDS)] | None = None
    timeout: TimeoutSeconds | None = None
    expires_at: Annotated[datetime, _described(format="date-time")] | None = None
    webhook: WebhookRequest | None = None
    metadata: Metadata = msgspec.Raw(b"{}")
    on_busy: OnBusy = "enqueue"
    idempotency_key: Annotated[str, _described(minLength=1, maxLength=LONGEST_NAME, pattern="^[ -~]*$")] | None = None


class CheckedValues(Struct, frozen=True):
    """The parsed documents of a request that passed."""

    input: Any
    metadata: Any


def check(request: TaskRequest) -> CheckedValues:
    """Everything that can be said without the agent's schema. Raises `InvalidInput` with a path for each fault."""
    faults = [*_text_faults(request), *_number_faults(request), *_time_faults(request), *_webhook_faults(request)]
    task_input = _parsed(request.input, "input", faults)
    metadata = _parsed(request.metadata, "metadata", faults)
    if metadata is not None and not isinstance(metadata, dict):
        faults.append(FieldError("metadata", "must be an object"))
    if faults:
        raise refused(faults)
    return CheckedValues(task_input, {} if metadata is None else metadata)


def values_of(request: TaskRequest) -> CheckedValues | None:
    """The documents of a request that need not be valid (any more), for its fingerprint; None where they cannot be read."""
    faults: list[FieldError] = []
    task_input, metadata = _parsed(request.input, "input", faults), _parsed(request.metadata, "metadata", faults)
    if faults or _text_faults(request):
        return None
    return CheckedValues(task_input, {} if metadata is None else metadata)


def refused(faults: list[FieldError]) -> InvalidInput:
    """One error for all faults; its sentence is that of the first."""
    return InvalidInput(f"{faults[0].path}: {faults[0].message}", faults)


def fingerprint(request: TaskRequest, values: CheckedValues) -> bytes:
    """Equal for requests that mean the same: parsed JSON is compared, and the idempotency key is no part of it."""
    said = {
        field: value
        for field in request.__struct_fields__
        if field not in {"input", "metadata", "idempotency_key"} and (value := getattr(request, field)) is not None
    }
    meant = msgspec.to_builtins({**said, "input": values.input, "metadata": values.metadata})
    return hashlib.blake2b(json_values.canonical(meant), digest_size=32).digest()


def _text_faults(request: TaskRequest) -> list[FieldError]:
    faults = []
    for field in ("agent", "conversation", "user", "idempotency_key"):
        text = getattr(request, field)
        if text is not None and (message := name_fault(text)) is not None:
            faults.append(FieldError(field, message))
    return faults


def name_fault(text: str) -> str | None:
    """What keeps a text from being a name, or any short text of a row; None: nothing."""
    if not text or len(text) > LONGEST_NAME:
        return f"must have 1 to {LONGEST_NAME} characters"
    if "\0" in text:
        return "a NUL character, which cannot be stored; remove it"
    if not _is_whole_unicode(text):
        return "a lone surrogate in a text: only whole Unicode characters can be stored"
    return None


def _is_whole_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number_faults(request: TaskRequest) -> list[FieldError]:
    faults = []
    if not LOWEST_PRIORITY <= request.priority <= HIGHEST_PRIORITY:
        faults.append(FieldError("priority", f"must be from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}, higher first"))
    if request.delay is not None and not _is_within(request.delay, LONGEST_WAIT_SECONDS):
        faults.append(FieldError("delay", f"must be from 0 to {LONGEST_WAIT_SECONDS} seconds"))
    if request.timeout is not None and (
        request.timeout == 0 or not _is_within(request.timeout, LONGEST_TIMEOUT_SECONDS)
    ):
        faults.append(FieldError("timeout", f"must be more than 0 and at most {LONGEST_TIMEOUT_SECONDS} seconds"))
    return faults


def _is_within(seconds: float, longest: float) -> bool:
    return math.isfinite(seconds) and 0 <= seconds <= longest


def _time_faults(request: TaskRequest) -> list[FieldError]:
    faults = []
    for field in ("run_at", "expires_at"):
        moment = getattr(request, field)
        if moment is not None and (message := _moment_fault(moment)) is not None:
            faults.append(FieldError(field, message))
    if faults:
        return faults
    if request.run_at is not None and request.delay is not None:
        faults.append(FieldError("delay", "cannot be combined with run_at; send one of the two"))
    if request.expires_at is not None and request.expires_at <= _earliest_start(request):
        faults.append(FieldError("expires_at", "must be later than now and than the time at which the task may run"))
    return faults


def _moment_fault(moment: datetime) -> str | None:
    if moment.tzinfo is None:
        return "must say its time zone, for instance 2030-01-31T12:00:00Z"
    if moment > now() + timedelta(seconds=LONGEST_WAIT_SECONDS):
        return f"must be within {LONGEST_WAIT_SECONDS} seconds (about ten years) from now"
    return None


def _earliest_start(request: TaskRequest) -> datetime:
    present = now()
    if request.run_at is not None:
        return max(present, request.run_at)
    if request.delay is not None and _is_within(request.delay, LONGEST_WAIT_SECONDS):
        return present + timedelta(seconds=request.delay)
    return present


def _webhook_faults(request: TaskRequest) -> list[FieldError]:
    if request.webhook is None:
        return []
    try:
        target_of(request.webhook.url)
    except ValueError as error:
        return [FieldError("webhook.url", str(error))]
    return []


def _parsed(raw: msgspec.Raw, path: str, faults: list[FieldError]) -> Any:
    try:
        return json_values.parse(bytes(raw), path)
    except Unfit as unfit:
        faults.append(unfit.fault)
        return None
