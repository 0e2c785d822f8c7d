"""What providers say when they do not answer, and how the same is said in their words.

Readers are tolerant: behind an OpenAI-compatible address speak many servers, and each has bent the form a little (a number for
`code`, a sentence for `error`, no `error` around the rest). What none of them says is left out, not guessed.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

ErrorKind: TypeAlias = Literal["unavailable", "timeout", "rate_limit", "spent", "refused"]


class Complaint(Struct, frozen=True):
    """An error in a provider's own words. `names`: its type and its codes; numbers are written out."""

    names: frozenset[str]
    message: str = ""


def complaint_in(body: Mapping[str, Any]) -> Complaint | None:
    """What a body or an event complains of; None when it is no error."""
    said = body.get("error")
    if isinstance(said, str) and said:
        return Complaint(frozenset(), said)
    if isinstance(said, Mapping) and said:
        return _of(said)
    if body.get("type") == "error" or body.get("object") == "error":
        return _of(body)
    return None


def unframed_complaint(body: Mapping[str, Any]) -> Complaint:
    """The same of the body of an HTTP error, which is one whatever its form."""
    return complaint_in(body) or _of(body)


def _of(said: Mapping[str, Any]) -> Complaint:
    details = said.get("details")
    named = [said.get("type"), said.get("code"), details.get("error_code") if isinstance(details, Mapping) else None]
    words = next((said[name] for name in ("message", "detail") if isinstance(said.get(name), str)), "")
    return Complaint(frozenset(str(name) for name in named if isinstance(name, str | int)), words)


class Wording(Struct, frozen=True):
    """How a provider says one kind of error: the status, its type, and a code where it has codes."""

    status: int
    type: str
    code: str | None = None


OPENAI_WORDS: dict[ErrorKind, Wording] = {
    "unavailable": Wording(503, "server_error", "service_unavailable"),
    "timeout": Wording(504, "server_error", "timeout"),
    "rate_limit": Wording(429, "requests", "rate_limit_exceeded"),
    "spent": Wording(429, "insufficient_quota", "insufficient_quota"),
    "refused": Wording(400, "invalid_request_error"),
}
ANTHROPIC_WORDS: dict[ErrorKind, Wording] = {
    "unavailable": Wording(503, "api_error"),
    "timeout": Wording(504, "timeout_error"),
    "rate_limit": Wording(429, "rate_limit_error"),
    "spent": Wording(402, "billing_error"),
    "refused": Wording(400, "invalid_request_error"),
}


def openai_error(message: str, kind: ErrorKind) -> tuple[int, bytes]:
    """Status and body."""
    words = OPENAI_WORDS[kind]
    error = {"message": message, "type": words.type, "param": None, "code": words.code}
    return words.status, msgspec.json.encode({"error": error})


def anthropic_error(message: str, kind: ErrorKind) -> tuple[int, bytes]:
    """Status and body."""
    words = ANTHROPIC_WORDS[kind]
    return words.status, msgspec.json.encode({"type": "error", "error": {"type": words.type, "message": message}})
