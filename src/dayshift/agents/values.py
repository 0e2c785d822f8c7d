"""An agent's values as JSON: what it returns and what it emits.

JSON has no word for NaN or infinity, and UTF-8 none for a lone surrogate. Both would reach a caller as something else
than the agent meant, so they are refused here with the place where they are.
"""

import math
from typing import Any

import msgspec

from dayshift.agents.errors import text_of

VALUE_LIMIT_BYTES = 4 * 1024 * 1024


class Unencodable(ValueError):
    """A value that cannot be written as JSON; the message says where and what to do."""


def encode_value(value: Any) -> bytes:
    """`value` as JSON: builtins, dataclasses, Structs, TypedDicts, dates, and pydantic models (by `model_dump`)."""
    try:
        encoded = _encoder.encode(value)
        # msgspec writes NaN and infinity as null, so only then is a search worth its time
        non_finite = _find_non_finite(_as_builtins(value), "$") if b"null" in encoded else None
    except RecursionError:
        raise Unencodable("it contains itself, or is nested too deeply; return a flat value") from None
    except UnicodeEncodeError as error:
        raise Unencodable(f"it holds text that is not Unicode ({error.reason}); clean it with an encoding") from None
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise Unencodable(f"{text_of(error)}; use builtins, dataclasses, Structs or pydantic models") from None
    except Exception as error:  # noqa: BLE001 - a foreign `model_dump` may raise anything
        raise Unencodable(f"writing it as JSON raised {type(error).__name__}: {text_of(error)}") from None
    if len(encoded) > VALUE_LIMIT_BYTES:
        raise Unencodable(f"{len(encoded)} bytes are above {VALUE_LIMIT_BYTES}; store it and return its address")
    if non_finite is not None:
        raise Unencodable(f"{non_finite} is not a finite number, which JSON cannot say; give None or text instead")
    return encoded


def as_builtin(value: Any) -> Any:
    """A foreign object as what it stands for: text and numbers of a class of their own, which frameworks like to return, and
    what has the method of pydantic's models. Raises TypeError when it is nothing that JSON can say.
    """
    model_dump = getattr(value, "model_dump", None)
    if callable(model_dump) and not isinstance(value, type):
        return model_dump(mode="json")
    if isinstance(value, str):
        return str.__str__(value)  # its own `__str__` may say something else
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    raise TypeError(f"an object of type {type(value).__module__}.{type(value).__qualname__} has no JSON form")


_encoder = msgspec.json.Encoder(enc_hook=as_builtin)


def _as_builtins(value: Any) -> Any:
    return msgspec.to_builtins(value, enc_hook=as_builtin)


def _find_non_finite(value: Any, path: str) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else path
    if isinstance(value, dict):
        children = ((f"{path}.{key}", child) for key, child in value.items())
    elif isinstance(value, list | tuple):
        children = ((f"{path}[{index}]", child) for index, child in enumerate(value))
    else:
        return None
    return next((found for place, child in children if (found := _find_non_finite(child, place))), None)
