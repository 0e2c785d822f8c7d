"""Errors in OpenAI's shape: `{"error": {message, type, param, code}}`.

Statuses are those of every door, but for bad input, which OpenAI calls a bad request (400). `code` is OpenAI's word where
it has one, else ours. Its clients try a 409 again by themselves: ours are true conflicts, so they are told not to.
"""

import uuid

import msgspec

from dayshift.domain.errors import BudgetSpent, DayshiftError, InvalidInput
from dayshift.gateway.problems import problem_of, reply_to
from dayshift.gateway.replies import JSON, Reply, header
from dayshift.gateway.responses.shapes import ErrorBody, OpenAIError

_DO_NOT_RETRY = header("x-should-retry", "false")
_CODES = {"missing_key": "invalid_api_key", "bad_key": "invalid_api_key", "budget_spent": "insufficient_quota"}
_TYPES = {403: "permission_error", 429: "rate_limit_error"}


def openai_reply_to(error: DayshiftError) -> Reply:
    """The answer for one of our errors."""
    ours = reply_to(error)
    status = 400 if ours.status == 422 and error.code != "idempotency_key_reused" else ours.status
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    told = ErrorBody(
        message=problem_of(error).detail, type=kind, param=_param(error), code=_CODES.get(error.code, error.code)
    )
    headers = [JSON, request_id(), *(one for one in ours.headers if one[0] != JSON[0])]
    if status == 409 or isinstance(error, BudgetSpent):
        headers.append(_DO_NOT_RETRY)
    return Reply(status, msgspec.json.encode(OpenAIError(error=told)), headers)


def request_id() -> tuple[bytes, bytes]:
    """The header by which OpenAI's clients name a request (`response._request_id`)."""
    return header("x-request-id", f"req_{uuid.uuid4().hex}")


def _param(error: DayshiftError) -> str | None:
    faults = error.errors if isinstance(error, InvalidInput) else []
    return faults[0].path or None if faults else None
