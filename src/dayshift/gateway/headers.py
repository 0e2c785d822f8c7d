"""The request headers that mean something here: Idempotency-Key, Prefer, traceparent, Last-Event-ID, If-Match."""

import re

from dayshift.gateway.problems import HttpError
from dayshift.gateway.request import Request

LONGEST_KEY = 255
LONGEST_WAIT_SECONDS = 60.0

_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_QUOTED = re.compile(r'"(?P<text>(?:[^"\\]|\\["\\])*)"')
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?P<trace_id>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
IF_MATCH = re.compile(r'^(?:\*|(?:W/)?(?:"([0-9]{1,18})"|([0-9]{1,18})))$')
_NO_TRACE = "0" * 32


def idempotency_key(request: Request) -> str | None:
    """The `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07), quoted as the draft says, or bare."""
    values = request.headers(b"idempotency-key")
    if not values:
        return None
    if len(values) > 1:
        raise wrong_header("Idempotency-Key", "is sent twice; send it once")
    key = values[0].strip()
    if key.startswith('"'):
        quoted = _QUOTED.fullmatch(key)
        if quoted is None:
            raise wrong_header("Idempotency-Key", "opens a quote that does not close at its end")
        key = re.sub(r'\\(["\\])', r"\1", quoted["text"])
    check_idempotency_key(key)
    return key


def check_idempotency_key(key: str) -> None:
    """Raise `HttpError` (400) unless `key` may be one: 1 to 255 printable ASCII characters."""
    if len(key) > LONGEST_KEY or not _PRINTABLE.fullmatch(key):
        raise wrong_header("Idempotency-Key", f"must have 1 to {LONGEST_KEY} printable ASCII characters")


def preferred_wait(request: Request) -> int | None:
    """The seconds of `Prefer: wait=N` (RFC 7240), cut to what is possible. Other preferences are left alone."""
    for value in request.headers(b"prefer"):
        for preference in value.split(","):
            name, is_given, wait = preference.partition(";")[0].partition("=")
            if name.strip().lower() != "wait":
                continue
            digits = wait.strip().strip('"')
            if not is_given or not (digits.isascii() and digits.isdigit()):
                raise wrong_header("Prefer", "wait must be a whole number of seconds, as in: Prefer: wait=10")
            return int(min(float(digits), LONGEST_WAIT_SECONDS))
    return None


def trace_id(request: Request) -> str | None:
    """The trace that the caller is in, from a valid `traceparent` (W3C Trace Context)."""
    sent = request.header(b"traceparent")
    if sent is None:
        return None
    found = _TRACEPARENT.fullmatch(sent.strip())
    return found["trace_id"] if found is not None and found["trace_id"] != _NO_TRACE else None


def last_event_id(request: Request) -> int | None:
    """The event number after which an event stream goes on."""
    sent = request.header(b"last-event-id")
    if sent is None or not sent.strip():
        return None
    digits = sent.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
        raise wrong_header("Last-Event-ID", "must be an event's number, as its id: field gave it")
    return int(digits)


def if_match(request: Request) -> int | None:
    """The settings version that `If-Match` names, bare or as an entity tag. None: any will do."""
    sent = request.header(b"if-match")
    if sent is None or sent.strip() == "*":
        return None
    version = IF_MATCH.fullmatch(sent.strip())
    if version is None:
        raise wrong_header("If-Match", "must be a version number, as the answer or its ETag gave it")
    return int(version[1] or version[2])


def wrong_header(name: str, message: str) -> HttpError:
    """A header that cannot be understood (400)."""
    return HttpError(400, "invalid_header", f"the header {name} {message}")
