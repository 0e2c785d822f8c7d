"""Which values there are, where a value is none of them.

msgspec says `Invalid enum value 'x' - at `$.order`` and leaves it to the reader to find out what would have been valid. This walks
the type along the path of that message, and only then: an error's way may be slow.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

_FAULT = re.compile(r"(?P<what>Invalid (?:enum )?value .*?) - at `(?P<key>key` in `)?\$(?P<path>[^`]*)`", re.DOTALL)
_ALONE = re.compile(r"Invalid enum value .*(?<!`)", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<item>\d+|\.\.\.)\]")
_MOST_SHOWN = 20


def with_choices(message: str, hint: Any) -> str:
    """The message of msgspec's ValidationError for a value that was read as `hint`, and which values would have been taken."""
    found = _FAULT.fullmatch(message)
    if found is not None:
        choices = _choices(hint, found["path"], of_key=found["key"] is not None)
        what: str = found["what"]
        return f"{what}, expected {_listed(choices)}{message[len(what) :]}" if choices else message
    choices = _choices(hint, "", of_key=False) if _ALONE.fullmatch(message) else []
    return f"{message}, expected {_listed(choices)}" if choices else message


def _choices(hint: Any, path: str, *, of_key: bool) -> list[Any]:
    try:
        here = [inspect.type_info(hint)]
    except (TypeError, NameError):  # a hint of which msgspec knows nothing
        return []
    for step in _STEP.finditer(path):
        here = [inner for one in here for inner in _below(one, step["name"], step["item"])]
    if of_key:
        here = [one.key_type for one in _plain(here) if isinstance(one, inspect.DictType)]
    values = [value for one in _plain(here) for value in _values(one)]
    return list(dict.fromkeys(values))


def _plain(types: list[inspect.Type]) -> Iterator[inspect.Type]:
    """What unions and annotations are made of."""
    for one in types:
        if isinstance(one, inspect.UnionType):
            yield from _plain(list(one.types))
        elif isinstance(one, inspect.Metadata):
            yield from _plain([one.type])
        else:
            yield one


def _below(outer: inspect.Type, name: str | None, item: str | None) -> Iterator[inspect.Type]:
    for one in _plain([outer]):
        if isinstance(one, inspect.StructType) and name is not None and one.tag_field == name:
            yield inspect.LiteralType((one.tag,))
        elif isinstance(one, inspect.StructType | inspect.TypedDictType | inspect.DataclassType) and name is not None:
            yield from (field.type for field in one.fields if field.encode_name == name)
        elif isinstance(one, inspect.DictType):
            yield one.value_type
        elif isinstance(one, inspect.TupleType) and item is not None and item.isdigit():
            yield from one.item_types[int(item) : int(item) + 1]
        elif isinstance(one, inspect.CollectionType):
            yield one.item_type


def _values(one: inspect.Type) -> Iterator[Any]:
    if isinstance(one, inspect.LiteralType):
        yield from one.values
    elif isinstance(one, inspect.EnumType):
        yield from (member.value for member in one.cls)


def _listed(choices: list[Any]) -> str:
    shown = [msgspec.json.encode(choice).decode() for choice in choices[:_MOST_SHOWN]]
    if len(choices) > _MOST_SHOWN:
        return f"one of {', '.join(shown)}, … ({len(choices)} in all)"
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
