"""A function's parameters and result, read from its hints: the schemas of its input and output, and its decoder."""

import inspect
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import msgspec

from dayshift.agents.context import Context
from dayshift.agents.shapes import NoSchema, Shape, shape_of
from dayshift.domain.choices import with_choices
from dayshift.domain.errors import FieldError, InvalidInput, WrongUse

CONTEXT_NAME = "ctx"
_CURE = "use builtins, dataclasses, TypedDicts, msgspec Structs or pydantic models"
_SCALARS = (str, int, float, bool, type(None))


class Signature:
    """What an agent takes and gives back.

    `takes_context`: its first parameter is the context. `input_schema` and `output_schema` are JSON.
    """

    def __init__(self, agent: str, function: Callable[..., Any]) -> None:
        self._agent = agent
        hints = self._hints(function)
        parameters = list(inspect.signature(function).parameters.values())
        self.takes_context = bool(parameters) and _is_context(parameters[0], hints)
        self._parameters = parameters[1:] if self.takes_context else parameters
        for parameter in self._parameters:
            self._check(parameter, hints)
        self._shapes = {p.name: self._shape(p.name, hints.get(p.name, Any)) for p in self._parameters}
        self._finishers = {name: shape.finish for name, shape in self._shapes.items() if shape.finish is not None}
        self._input_type = self._make_input_type()
        self._decoder = msgspec.json.Decoder(self._input_type)
        self.input_schema = msgspec.json.encode(self._make_input_schema())
        self.output_schema = msgspec.json.encode(self._make_output_schema(hints.get("return", Any)))

    def decode(self, data: bytes) -> dict[str, Any]:
        """The keyword arguments in a task's input; raises InvalidInput."""
        try:
            decoded = self._decoder.decode(self._wrapped(data))
            arguments = {name: getattr(decoded, name) for name in self._shapes}
            for name, finish in self._finishers.items():
                if arguments[name] is None:  # not given: the function's own default holds
                    del arguments[name]
                else:
                    arguments[name] = self._finish(name, finish, arguments[name])
        except msgspec.MsgspecError as error:
            said = with_choices(str(error), self._input_type)
            raise InvalidInput(f"the input does not fit agent {self._agent}: {said}", [_fault(said)]) from None
        return arguments

    def _wrapped(self, data: bytes) -> bytes:
        """An agent with one parameter also takes its bare value."""
        if len(self._parameters) == 1 and not data.lstrip().startswith(b"{"):
            return b'{"' + self._parameters[0].name.encode() + b'":' + data + b"}"
        return data

    def _finish(self, name: str, finish: Callable[[Any], Any], raw: Any) -> Any:
        try:
            return finish(raw)
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(str(error).replace("`$", f"`$.{name}")) from None

    def _hints(self, function: Callable[..., Any]) -> dict[str, Any]:
        try:
            return get_type_hints(function, include_extras=True)
        except (NameError, AttributeError, TypeError) as error:
            raise WrongUse(
                f"agent {self._agent}: a type hint cannot be read ({error}); import or define that name in its file"
            ) from error

    def _check(self, parameter: inspect.Parameter, hints: dict[str, Any]) -> None:
        where = f"agent {self._agent}, parameter {parameter.name}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise WrongUse(f"{where}: *args and **kwargs have no schema; name each parameter, or take one dict")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise WrongUse(f"{where}: input is passed by name; remove the `/` from the function's parameters")
        if parameter.name == CONTEXT_NAME or _mentions_context(hints.get(parameter.name)):
            raise WrongUse(f"{where}: the context must be the first parameter")

    def _shape(self, name: str, hint: Any) -> Shape:
        try:
            return shape_of(hint)
        except NoSchema as reason:
            place = "result" if name == "return" else f"parameter {name}"
            raise WrongUse(
                f"agent {self._agent}, {place}: no JSON Schema can be made of {_spell(hint)} ({reason}); {_CURE}"
            ) from reason

    def _make_input_type(self) -> Any:
        fields = [_field(parameter, self._shapes[parameter.name]) for parameter in self._parameters]
        return msgspec.defstruct("Input", fields, kw_only=True, forbid_unknown_fields=True)

    def _make_input_schema(self) -> dict[str, Any]:
        definitions: dict[str, Any] = {}
        properties: dict[str, Any] = {}
        for parameter in self._parameters:
            shape = self._shapes[parameter.name]
            properties[parameter.name] = self._merge(shape, definitions)
            if isinstance(parameter.default, _SCALARS):
                properties[parameter.name] = {**properties[parameter.name], "default": parameter.default}
        schema = {
            "type": "object",
            "properties": properties,
            "required": [p.name for p in self._parameters if p.default is p.empty],
            "additionalProperties": False,
        }
        return {**schema, "$defs": definitions} if definitions else schema

    def _make_output_schema(self, hint: Any) -> dict[str, Any]:
        shape = self._shape("return", hint)
        return {**shape.schema, "$defs": shape.definitions} if shape.definitions else shape.schema

    def _merge(self, shape: Shape, definitions: dict[str, Any]) -> dict[str, Any]:
        for name, definition in shape.definitions.items():
            if definitions.setdefault(name, definition) != definition:
                raise WrongUse(f"agent {self._agent}: two different types are called {name}; rename one of them")
        return shape.schema


def _is_context(parameter: inspect.Parameter, hints: dict[str, Any]) -> bool:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY):
        return False
    return _mentions_context(hints.get(parameter.name)) or parameter.name == CONTEXT_NAME


def _mentions_context(hint: Any) -> bool:
    return hint is Context or Context in get_args(hint)


def _field(parameter: inspect.Parameter, shape: Shape) -> Any:
    """One field of the input's struct. A default that may be changed in place is never copied: it is the function's."""
    if parameter.default is parameter.empty:
        return (parameter.name, shape.field_type)
    if shape.finish is not None:
        return (parameter.name, shape.field_type, None)
    return (parameter.name, shape.field_type, msgspec.field(default_factory=lambda: parameter.default))


def _fault(said: str) -> FieldError:
    """Msgspec says "... - at `$.items[2].name`"; a fault's path begins at `input`."""
    message, _, place = said.partition(" - at `$")
    return FieldError(path="input" + place.rstrip("`"), message=message)


def _spell(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)
