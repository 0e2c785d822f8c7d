"""A call of a function as something to journal: what names it, what it is called with, and its result in both directions.

The result goes through JSON also when the function has just run: the attempt that makes it and the attempt that is given it
work with the same. Where the function's hint names a type, the result is of that type again.

Arguments that have no JSON form (a client, a connection) stand in the key with their type alone.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, get_type_hints

import msgspec
from msgspec import Struct

from dayshift.agents.effects import scope
from dayshift.agents.errors import Fatal
from dayshift.agents.shapes import NoSchema, Shape, shape_of
from dayshift.agents.values import Unencodable, as_builtin, encode_value
from dayshift.domain.effect import EffectKind
from dayshift.domain.errors import WrongUse
from dayshift.journal import Call, call_of, scope_within


class UnrecordableResult(Fatal):
    """A function gave what cannot be written down. Another try would give the same, and do it again."""


class Calling(Struct, frozen=True):
    """One call. `where` is how errors name it."""

    call: Call
    where: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    shape: Shape

    async def make(self) -> bytes:
        """Call the function, async or plain; its result, encoded."""
        with self._inside():
            result = self.function(*self.arguments, **self.named)
            return self._encode(await result if inspect.isawaitable(result) else result)

    def make_here(self) -> bytes:
        """The same in a plain agent's thread, where nothing can be awaited."""
        with self._inside():
            result = self.function(*self.arguments, **self.named)
            if inspect.iscoroutine(result):
                result.close()
            if inspect.isawaitable(result):
                raise Fatal(f"{self.where}: an async function in a plain agent; make the agent `async def`")
            return self._encode(result)

    def decode(self, result: bytes) -> Any:
        """What the caller is given."""
        return self.shape.decode(result)

    def _encode(self, result: Any) -> bytes:
        try:
            encoded = encode_value(result)
            self.decode(encoded)  # what cannot be read again must not be recorded
        except Unencodable as error:
            raise UnrecordableResult(f"{self.where}: its result cannot be recorded: {error}") from None
        except msgspec.MsgspecError as error:
            raise UnrecordableResult(f"{self.where}: its result does not fit its hint: {error}") from None
        return encoded

    @contextmanager
    def _inside(self) -> Iterator[None]:
        token = scope.set(scope_within(self.call.scope, self.call.key))
        try:
            yield
        finally:
            scope.reset(token)


def calling(
    kind: EffectKind, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
) -> Calling:
    """Describe a call of `function` under `name`."""
    inner, bound, by_name = _unwrapped(function, arguments, named)
    parts = {f"argument {number}": _canonical(value) for number, value in enumerate(bound, start=1)}
    parts |= {word: _canonical(value) for word, value in by_name.items()}
    content = b"\n".join(part.encode() + b"=" + parts[part] for part in sorted(parts))
    asked = functools.partial(_asked, inner, bound, by_name)
    call = call_of(kind, name, content, scope=scope.get(), parts=parts, asked=asked)
    return Calling(call, f"{kind} {name}", function, arguments, named, result_shape(inner))


def _asked(function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The arguments by the names of their parameters, which may say that one is a secret."""
    try:
        given = inspect.signature(function).bind_partial(*arguments, **named).arguments
    except (TypeError, ValueError):  # no call that it takes, or no signature to know that by
        given = {f"argument {number}": value for number, value in enumerate(arguments, start=1)} | named
    return msgspec.to_builtins(given, enc_hook=_stand_in, builtin_types=(bytes, bytearray), str_keys=True)


def name_of(function: Any) -> str:
    """What a function is called in the journal: it survives a move to another file. Raises WrongUse for what cannot be called."""
    if not callable(function):
        given = f"the coroutine of {function.__qualname__}" if inspect.iscoroutine(function) else repr(function)
        if inspect.iscoroutine(function):
            function.close()
        raise WrongUse(f"ctx.step({given}): give the function, and its arguments after it: ctx.step(load, order_id)")
    inner = unwrapped(function)
    return getattr(inner, "__qualname__", None) or type(inner).__qualname__


def unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function below `functools.partial`."""
    inner, _, _ = _unwrapped(function, (), {})
    return inner


def _unwrapped(
    function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    while isinstance(function, functools.partial):
        arguments, named = (*function.args, *arguments), {**function.keywords, **named}
        function = function.func
    return function, arguments, named


def _canonical(value: Any) -> bytes:
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, RecursionError):
        return _type_of(value).encode()


def _stand_in(value: Any) -> Any:
    try:
        return as_builtin(value)
    except TypeError:
        return _type_of(value)


def _type_of(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    return f"<{kind.__qualname__}>"


_encoder = msgspec.json.Encoder(order="sorted", enc_hook=_stand_in)


@functools.lru_cache(maxsize=1_000)
def result_shape(function: Callable[..., Any]) -> Shape:
    """Of the hint, or of anything where there is none that JSON can say."""
    try:
        hint = get_type_hints(function, include_extras=True).get("return", Any)
        return shape_of(Any if hint is None else hint)
    except (NoSchema, NameError, AttributeError, TypeError):
        return shape_of(Any)
