"""OpenAI's error body, the same for chat completions and Responses."""

from typing import Any

_TYPE_AND_CODE: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def openai_error(status: int, message: str, param: str | None, _request_id: str) -> dict[str, Any]:
    """`{"error": {message, type, param, code}}`."""
    kind, code = _TYPE_AND_CODE.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
