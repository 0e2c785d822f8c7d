"""Errors in both bindings' words. The table of HTTP statuses is the specification's (5.4): the SDK's differs from it.

What this API refuses for reasons of its own keeps its status and its headers (429 and 503 with Retry-After, 413, 403), with
the protocol's body around it. What the protocol has a word for is said with that.
"""

from typing import Any

import msgspec
from a2a.utils.error_handlers import build_error_details
from a2a.utils.errors import (
    A2A_ERROR_MAPPING,
    JSON_RPC_ERROR_CODE_MAP,
    A2AError,
    ContentTypeNotSupportedError,
    InternalError,
    InvalidAgentResponseError,
    InvalidParamsError,
    InvalidRequestError,
    JSONParseError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)

from dayshift.domain.errors import Conflict, DayshiftError, InvalidInput, NotFound
from dayshift.gateway.problems import reply_to, status_of
from dayshift.gateway.replies import JSON, Headers, Reply

_STATUSES: dict[type[A2AError], int] = {
    TaskNotCancelableError: 409,
    ContentTypeNotSupportedError: 415,
    InvalidAgentResponseError: 502,
    JSONParseError: 400,
}
_RPC_STATUS = {403: "PERMISSION_DENIED", 404: "NOT_FOUND", 413: "RESOURCE_EXHAUSTED"} | {
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
SERVER_ERROR = -32000  # JSON-RPC leaves -32000 to -32099 to servers; the protocol's own begin at -32001


def a2a_error(error: DayshiftError) -> A2AError | None:
    """The protocol's word for one of our errors; None: it has none."""
    status = status_of(error)
    if isinstance(error, InvalidInput):
        faults = [{"field": one.path, "message": one.message} for one in error.errors]
        return InvalidParamsError(error.message, {"errors": faults} if faults else None)
    if isinstance(error, NotFound):
        return TaskNotFoundError(error.message)
    if isinstance(error, Conflict):
        return UnsupportedOperationError(error.message)
    if status == 415:
        return ContentTypeNotSupportedError(error.message)
    if status == 400:
        return JSONParseError(error.message) if error.code == "invalid_json" else InvalidRequestError(error.message)
    return None


def rest_error(error: A2AError | DayshiftError) -> Reply:
    """AIP-193."""
    if isinstance(error, DayshiftError):
        known = a2a_error(error)
        if known is None:
            plain = reply_to(error)
            return _rest(plain.status, _RPC_STATUS.get(plain.status, "UNKNOWN"), error.message, [], plain.headers)
        error = known
    mapped = A2A_ERROR_MAPPING.get(type(error), A2A_ERROR_MAPPING[InternalError])
    status = _STATUSES.get(type(error), mapped.http_code)
    return _rest(status, _grpc_status(error), error.message, build_error_details(error), ())


def rpc_error(request_id: Any, error: A2AError | DayshiftError) -> Reply:
    """JSON-RPC: what the protocol knows is an answer like another; what only HTTP knows keeps its status."""
    if isinstance(error, DayshiftError):
        known = a2a_error(error)
        if known is None:
            plain = reply_to(error)
            said = {"code": SERVER_ERROR, "message": error.message, "data": [{"code": error.code}]}
            return _json(rpc_answer(request_id, error=said), plain.status, plain.headers)
        error = known
    return _json(rpc_answer(request_id, error=rpc_error_of(error)), 200, ())


def rpc_error_of(error: A2AError) -> dict[str, Any]:
    code = JSON_RPC_ERROR_CODE_MAP.get(type(error), JSON_RPC_ERROR_CODE_MAP[InternalError])
    return {"code": code, "message": error.message, "data": build_error_details(error)}


def rpc_answer(request_id: Any, **said: Any) -> dict[str, Any]:
    """The envelope around a `result` or an `error`."""
    return {"jsonrpc": "2.0", "id": request_id, **said}


def _grpc_status(error: A2AError) -> str:
    mapped = A2A_ERROR_MAPPING.get(type(error))
    return "INTERNAL" if mapped is None else mapped.grpc_status


def _rest(status: int, name: str, message: str, details: list[dict[str, Any]], headers: Headers) -> Reply:
    said: dict[str, Any] = {"code": status, "status": name, "message": message}
    return _json({"error": {**said, "details": details} if details else said}, status, headers)


def _json(body: dict[str, Any], status: int, headers: Headers) -> Reply:
    others = [(name, value) for name, value in headers if name != b"content-type"]
    return Reply(status, msgspec.json.encode(body), [JSON, *others])
