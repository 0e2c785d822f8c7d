"""From msgspec's way of naming a fault (`... - at `$.tasks[3].x``) to the dotted path that users see."""

import re
from typing import TypeVar

import msgspec

from dayshift.domain.choices import with_choices
from dayshift.domain.errors import FieldError, InvalidInput

Shape = TypeVar("Shape")

_AT = re.compile(r"(?P<message>.*?)(?: - at `(?:key` in `)?\$(?P<path>[^`]*)`)?", re.DOTALL)
_FIELD = re.compile(r"(?:unknown|required) field `(?P<name>[^`]*)`")


def dotted(error: msgspec.ValidationError, shape: type, inside: str = "") -> FieldError:
    """The fault that msgspec found where it read `shape`; `inside` is the path of the value that was being read."""
    found = _AT.fullmatch(with_choices(str(error), shape))
    assert found is not None  # the pattern's parts are optional: it fits any text
    message: str = found["message"]
    path = (found["path"] or "").replace("[...]", "[]").lstrip(".")
    named = _FIELD.search(message)
    return FieldError(path=_joined(inside, path, named["name"] if named else ""), message=_in_our_words(message))


def _joined(*parts: str) -> str:
    joined = ""
    for part in parts:
        if part:
            joined += part if not joined or part.startswith("[") else f".{part}"
    return joined


def _in_our_words(message: str) -> str:
    if message.startswith("Object contains unknown field"):
        return "unknown field; remove it"
    if message.startswith("Object missing required field"):
        return "required, but missing"
    return message[:1].lower() + message[1:]


def invalid(fault: FieldError) -> InvalidInput:
    """The error for one fault of a body."""
    return InvalidInput(f"{fault.path or 'the body'}: {fault.message}", [fault])


def typed(raw: bytes, shape: type[Shape], inside: str = "") -> Shape:
    """JSON that was checked, as a struct. Raises `InvalidInput` with the path of what does not fit."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise invalid(dotted(error, shape, inside)) from None
