"""One type hint as a shape: its JSON Schema, and how JSON becomes a value of it.

msgspec makes both for builtins, dataclasses, TypedDicts and Structs. A hint that it does not know, anywhere inside,
goes whole to pydantic when the author's code has imported that; so `list[Model]`, `Model | None` and dataclasses that
hold models work as well.
"""

import sys
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from dayshift.domain.choices import with_choices

REF_TEMPLATE = "#/$defs/{name}"


class NoSchema(TypeError):
    """No JSON Schema can be made of a hint; the message is the reason."""


class Shape(Struct, frozen=True):
    """A hint, understood. `field_type` is what msgspec decodes it as; `finish` turns that into the agent's value."""

    schema: dict[str, Any]
    definitions: dict[str, Any]
    field_type: Any
    finish: Callable[[Any], Any] | None = None

    def decode(self, data: bytes) -> Any:
        """The agent's value in JSON. Raises msgspec.MsgspecError when it does not fit."""
        try:
            value = msgspec.json.decode(data, type=self.field_type)
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(with_choices(str(error), self.field_type)) from None
        return value if self.finish is None else self.finish(value)


def shape_of(hint: Any) -> Shape:
    """The shape of `hint`; raises NoSchema with the reason."""
    if hint is Any or hint is object:
        return Shape({}, {}, Any)
    try:
        (schema,), definitions = msgspec.json.schema_components([hint], ref_template=REF_TEMPLATE)
        msgspec.json.Decoder(hint)  # some unions have a schema, but cannot be decoded
    except (TypeError, msgspec.MsgspecError) as error:
        return _by_pydantic(hint, _first_sentence(error))
    return Shape(schema, definitions, hint)


def _by_pydantic(hint: Any, reason: str) -> Shape:
    pydantic = sys.modules.get("pydantic")
    if pydantic is None:
        raise NoSchema(reason)
    try:
        adapter = pydantic.TypeAdapter(hint)
        schema = adapter.json_schema(ref_template=REF_TEMPLATE.format(name="{model}"))
    except pydantic.errors.PydanticUserError as error:  # covers types without a schema and classes not defined yet
        raise NoSchema(f"{reason}; {_first_sentence(error)}") from error

    def validate(raw: Any) -> Any:
        try:
            return adapter.validate_json(bytes(raw))
        except pydantic.ValidationError as error:
            raise msgspec.ValidationError(_pydantic_faults(error)) from None

    return Shape(schema, schema.pop("$defs", {}), msgspec.Raw, validate)


def _pydantic_faults(error: Any) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{fault['msg']} - at `{_path(fault['loc'])}`" for fault in faults[:5])


def _path(location: tuple[Any, ...]) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def _first_sentence(error: Exception) -> str:
    """The line of an error that names the type: msgspec puts it last, others first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "is not supported" in line]
    return (named or lines or [type(error).__name__])[0]
