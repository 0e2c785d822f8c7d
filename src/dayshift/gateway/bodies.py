"""Bodies: how much is read, and what counts as JSON that can be kept.

Everything that is accepted here is stored as it came, read by other languages, and compared with itself later. So the
rules are those of I-JSON (RFC 7493), checked before anything else looks at the body:

- UTF-8, and no escape that makes half a character (a lone surrogate): 400
- one value for a name, as two parsers may choose differently: 400
- finite numbers, and nesting that no parser chokes on: 400
- no NUL character, which PostgreSQL's text cannot hold: 422, with its path

The checks are a scan in C for an ordinary body; Python code walks a body only when a suspicious escape was seen.
"""

import asyncio
import json
import math
import re
from typing import Any

from dayshift.domain.errors import FieldError, InvalidInput
from dayshift.gateway.problems import HttpError
from dayshift.gateway.replies import CONNECTION_CLOSE, header
from dayshift.gateway.request import Request

APPLICATION_JSON = "application/json"
MAX_DEPTH = 100
MAX_INTEGER_DIGITS = 4_000
LONGEST_BODY_SECONDS = 60.0

# A client that announces more than this is not listened to until it has sent it all.
_WORTH_SWALLOWING_BYTES = 64 * 1024 * 1024

# A string, or what begins like one and never ends: possessive and without a way to fail, so that no body makes it slow.
STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_STRING = re.compile(STRING, re.DOTALL)
_SUSPICIOUS_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BRACKETS_ALIKE = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


async def read_json(request: Request, max_bytes: int) -> bytes:
    """Read and check a JSON body. Raises `HttpError` (400, 408, 413, 415, 503), `Refused` (connections_full) or `InvalidInput`; nothing was done then."""
    _check_media_type(request, APPLICATION_JSON)
    return checked_json(await _read(request, max_bytes))


async def read_unchecked(request: Request, max_bytes: int, *media_types: str) -> bytes:
    """Read a body whose parts are to be checked each for itself. `media_types`: what it may be called beside JSON."""
    _check_media_type(request, APPLICATION_JSON, *media_types)
    return await _read(request, max_bytes)


def _check_media_type(request: Request, *allowed: str) -> None:
    media_type = request.header(b"content-type")
    if media_type is not None and media_type.partition(";")[0].strip().lower() not in allowed:
        raise HttpError(
            415,
            "unsupported_media_type",
            f"the body is sent as {media_type[:100]!r}; send JSON with Content-Type: application/json",
            headers=[header("accept", "application/json")],
        )
    encoding = request.header(b"content-encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        raise HttpError(
            415,
            "unsupported_content_encoding",
            f"the body is encoded as {encoding[:100]!r}; send it without Content-Encoding",
            headers=[header("accept-encoding", "identity")],
        )


async def _read(request: Request, max_bytes: int) -> bytes:
    announced = request.header(b"content-length")
    if announced is not None and int(announced) > max_bytes:
        raise _too_large(max_bytes, swallow=int(announced) <= _WORTH_SWALLOWING_BYTES)
    request.rest()
    try:
        async with asyncio.timeout(LONGEST_BODY_SECONDS):
            body = await _arrived(request, max_bytes)
    except TimeoutError:
        raise HttpError(
            408,
            "body_too_slow",
            f"the body was not complete after {LONGEST_BODY_SECONDS:g} s; nothing was done; send less, or faster",
            headers=[CONNECTION_CLOSE],
        ) from None
    request.go_on()
    return body


async def _arrived(request: Request, max_bytes: int) -> bytes:
    body = b""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise HttpError(400, "incomplete_body", "the connection was closed before the body was complete")
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > max_bytes:
            raise _too_large(max_bytes, swallow=False)
        if not message.get("more_body", False):
            return body
        request.stay()  # it holds memory now, and a tenant is to hold only so much


def _too_large(max_bytes: int, *, swallow: bool) -> HttpError:
    return HttpError(
        413,
        "body_too_large",
        f"the body is larger than {max_bytes} bytes; send less, or raise the setting gateway.max_body_bytes",
        headers=() if swallow else [CONNECTION_CLOSE],
    )


def checked_json(raw: bytes, where: str = "") -> bytes:
    """JSON that keeps the rules of this module, as it came. `where` is the path of this value in the whole body."""
    if not raw:
        raise not_json("the body is empty; send a JSON object")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _is_deeper_than(MAX_DEPTH, raw):
        raise _too_deep()
    try:
        parsed = _decode(raw.decode())
    except UnicodeDecodeError as error:
        raise not_json(f"the body is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise not_json(f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise _too_deep() from None
    if _SUSPICIOUS_ESCAPE.search(raw):
        _check_text(parsed, where)
    return raw


def not_json(message: str, code: str = "invalid_json") -> HttpError:
    return HttpError(400, code, message)


def _too_deep() -> HttpError:
    return not_json(f"the body is nested deeper than {MAX_DEPTH} levels; make it flatter", code="too_deep")


def _is_deeper_than(levels: int, raw: bytes) -> bool:
    """Remove the innermost brackets once a level; whatever is left after so many rounds lies deeper."""
    left = _STRING.sub(b"", raw).translate(_BRACKETS_ALIKE, _NOT_BRACKETS)
    for _ in range(levels):
        shorter = left.replace(b"[]", b"")
        if len(shorter) == len(left):
            return False  # all gone, or unbalanced: then the parser says what is wrong
        left = shorter
    return bool(left)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value] # add() is here for its effect
        raise not_json(f"the name {name[:100]!r} stands twice in one object; give it once", code="duplicate_name")
    return made


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise not_json(f"the number {text[:40]} is out of range; send it as text", code="number_out_of_range")
    return number


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise not_json(f"an integer has more than {MAX_INTEGER_DIGITS} digits", code="number_out_of_range")
    return int(text)


def _no_constant(name: str) -> Any:
    raise not_json(f"the body is not JSON: {name} is not a JSON value; send null or a string")


_decode = json.JSONDecoder(
    object_pairs_hook=_without_duplicates, parse_float=_finite, parse_int=_integer, parse_constant=_no_constant
).decode


def _check_text(value: Any, path: str) -> None:
    """Walk a parsed value for what its escapes may have made."""
    if isinstance(value, str):
        if _SURROGATE.search(value):
            where = f" at {path}" if path else ""
            raise not_json(f"the text{where} holds half of a surrogate pair; send whole characters", "lone_surrogate")
        if "\x00" in value:
            fault = FieldError(path=path, message="holds a NUL character; leave it out")
            raise InvalidInput(f"{path or 'the body'} {fault.message}", [fault], code="nul_character")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_text(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            shown = ascii(name)[1:-1] if _SURROGATE.search(name) or "\x00" in name else name
            inside = f"{path}.{shown}" if path else shown
            _check_text(name, inside)
            _check_text(item, inside)
