"""An error that the agent was handed, on its way into the journal and out again.

Code that catches an error by its class must catch it again when it is replayed. So the class is named and looked up, and the
error is made of its arguments and attributes if they are JSON. What cannot be made again comes as a
`ReplayedError` that says what it was: it fails as before, though an `except` for the class itself does not meet it.
"""

import builtins
import sys
from typing import Any, NoReturn

import msgspec
from msgspec import Struct

from dayshift.agents.errors import text_of
from dayshift.agents.values import Unencodable, encode_value


class ReplayedError(Exception):
    """Stands for an error of an earlier attempt whose class cannot be made again. `error_type` names it."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type


class _Failure(Struct):
    module: str
    name: str
    message: str
    arguments: list[Any] | None = None
    attributes: dict[str, Any] | None = None


def encode_failure(error: BaseException) -> bytes:
    """What the journal keeps of an error."""
    kind = type(error)
    return msgspec.json.encode(
        _Failure(
            kind.__module__, kind.__qualname__, text_of(error), _as_json(_arguments_of(error)), _as_json(vars(error))
        )
    )


def _arguments_of(error: BaseException) -> list[Any]:
    """What it is made of; an OSError keeps more than its `args` say."""
    return list(error.__reduce__()[1]) if isinstance(error, OSError) else list(error.args)


def _as_json(value: Any) -> Any:
    """The value if JSON says all of it, so that it can be read back; else None."""
    try:
        read_back = msgspec.json.decode(encode_value(value))
    except Unencodable:
        return None
    return read_back if read_back == value else None


def raise_recorded(stored: bytes) -> NoReturn:
    """Raise the error again that `encode_failure` was given."""
    failure = msgspec.json.decode(stored, type=_Failure)
    raise _made_again(failure) or ReplayedError(f"{failure.module}.{failure.name}", failure.message)


def _made_again(failure: _Failure) -> Exception | None:
    """The error as it was, if its class is loaded; only if it then says the same."""
    module = builtins if failure.module == "builtins" else sys.modules.get(failure.module)
    kind: object = module
    for part in failure.name.split("."):
        kind = getattr(kind, part, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)) or failure.arguments is None:
        return None
    try:
        error = _make(kind, failure.arguments, failure.attributes)
    except Exception:  # noqa: BLE001 - a foreign class may do anything, and then we name it
        return None
    return error if text_of(error) == failure.message else None


def _make(kind: type[Exception], arguments: list[Any], attributes: dict[str, Any] | None) -> Exception:
    """As `copy` would make one, since a constructor may ask for other arguments than an error keeps; by it if need be."""
    if attributes is None:
        return kind(*arguments)
    error = kind.__new__(kind, *arguments)
    vars(error).update(attributes)
    return error
