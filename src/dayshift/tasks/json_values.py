"""JSON from outside, parsed once and checked for what rows, schemas and agents cannot bear.

Refused: text that is not UTF-8, NUL characters, lone surrogates, numbers that no double can hold (1e400), nesting deeper
than 64. The parser finds most of that. The rest cannot hide in a document whose bytes show no trace of it, so nearly
every document is spared the walk over its values.
"""

import math
import re
from typing import Any

import msgspec

from dayshift.domain.errors import FieldError

MAX_DEPTH = 64
_HUGE_NUMBER = re.compile(rb"[0-9]{300}")
_PATH_IN_MESSAGE = re.compile(r" - at `\$(.*)`$")
_LONGEST_SHOWN = 300


class Unfit(Exception):
    """One document cannot be used; says where and why."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.fault = FieldError(path=path, message=message)


def parse(raw: bytes, path: str) -> Any:
    """The value of a JSON document. `path` names the document in errors. Raises `Unfit`."""
    try:
        value = msgspec.json.decode(raw)
    except RecursionError:
        raise Unfit(path, f"nested deeper than {MAX_DEPTH} levels; flatten it") from None
    except UnicodeDecodeError:
        raise Unfit(path, "text that is not valid UTF-8") from None
    except msgspec.DecodeError as error:
        raise Unfit(path, _in_our_words(str(error))) from None
    if _may_hide_something(raw):
        _walk(value, path)
    return value


def canonical(value: Any) -> bytes:
    """The same bytes for equal JSON values: sorted keys, and 1.0 is 1."""
    return msgspec.json.encode(_with_plain_numbers(value), order="sorted")


def shortened(text: str) -> str:
    """A message that quotes a caller's value, cut to a readable length."""
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def _in_our_words(message: str) -> str:
    """The parser's sentence; it names an unknown place `[...]`, which says nothing to a caller."""
    reason = _PATH_IN_MESSAGE.sub("", message)
    if reason == "Number out of range":
        return "a number that is too large for a double; send it as text"
    if "surrogate" in reason or "truncated" in reason or "hex escape" in reason:
        return "a lone surrogate in a text: only whole Unicode characters can be stored"
    return reason


def _may_hide_something(raw: bytes) -> bool:
    return b"\\u0000" in raw or raw.count(b"[") + raw.count(b"{") > MAX_DEPTH or _HUGE_NUMBER.search(raw) is not None


def _walk(root: Any, path: str) -> None:
    """Look at every value, without recursion: what is deep must not exhaust our own stack."""
    todo: list[tuple[Any, str, int]] = [(root, path, 1)]
    while todo:
        value, where, depth = todo.pop()
        if isinstance(value, str):
            _check_text(value, where)
        elif isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                raise Unfit(path, f"nested deeper than {MAX_DEPTH} levels; flatten it")
            todo.extend(_children(value, where, depth + 1))
        elif isinstance(value, int | float) and not _is_finite(value):
            raise Unfit(where, "a number that is too large for a double; send it as text")


def _children(value: dict[str, Any] | list[Any], path: str, depth: int) -> list[tuple[Any, str, int]]:
    if isinstance(value, list):
        return [(item, f"{path}[{index}]", depth) for index, item in enumerate(value)]
    for key in value:
        _check_text(key, f"{path}, a key")
    return [(item, f"{path}.{key}", depth) for key, item in value.items()]


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise Unfit(path, "a NUL character, which cannot be stored; remove it")


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an int beyond every double
        return False


def _with_plain_numbers(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list):
        return [_with_plain_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_plain_numbers(item) for key, item in value.items()}
    return value
