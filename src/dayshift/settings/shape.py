"""What the settings may look like: walks the types of `domain.settings`, so that those are the only place to change.

Validation goes down together with the types, piece by piece, and so names the exact path of every fault: msgspec alone
says `$.queues[...]` for a fault inside a dictionary, and stops at the first.
"""

import difflib
import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from dayshift.domain.choices import with_choices
from dayshift.domain.errors import FieldError, InvalidInput
from dayshift.domain.provider_settings import ProviderSettings
from dayshift.domain.settings import Settings, TenantSettings, to_builtins
from dayshift.settings.meaning import SECRETS_CURE, faults_of_meaning
from dayshift.settings.paths import Path, canonical

NOT_YET: dict[Path, set[str]] = {
    (): {"alerts"},
}
SHOWN_CHARACTERS = 80


def type_at(path: Path) -> Any:
    """The type of the value at a path. Raises `InvalidInput` that says which name is wrong, and what was meant."""
    here: Any = Settings
    for depth, name in enumerate(path):
        inner = _inner_type(here, name)
        if inner is None:
            error = _unknown(path[:depth], name, here)
            raise InvalidInput(f"{error.path}: {error.message}", [error], code="unknown_setting")
        here = inner
    return here


def check(document: dict[str, Any]) -> Settings:
    """The whole document as typed settings. Raises `InvalidInput` with the path and the reason of every fault."""
    errors = list(faults(document))
    if errors:
        first, more = errors[0], f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise InvalidInput(f"{first.path}: {first.message}{more}", errors, code="invalid_setting")
    return msgspec.convert(document, Settings)


def faults(document: dict[str, Any]) -> Iterator[FieldError]:
    """Every fault in the document."""
    for _path, error in located_faults(document):
        yield error


def located_faults(document: dict[str, Any]) -> Iterator[tuple[Path, FieldError]]:
    """Every fault together with the path of the smallest piece that is wrong. What settings are to one another is looked at once each
    is right in itself.
    """
    of_shape = list(_faults_in(document, Settings, ()))
    yield from of_shape or faults_of_meaning(msgspec.convert(document, Settings))


def default_at(path: Path, settings: Settings) -> Any:
    """What holds at a path where nothing is set."""
    value: Any = to_builtins(settings)
    if len(path) >= 2 and path[0] in {"queues", "tenants", "agents", "providers"}:
        value = to_builtins(_effective_section(path[0], path[1], settings))
        path = path[2:]
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _effective_section(section: str, name: str, settings: Settings) -> Any:
    if section == "queues":
        return settings.queue(name)
    if section == "agents":
        return settings.agent(name)
    if section == "providers":
        return settings.providers.get(name, ProviderSettings())
    return settings.tenants.get("*", TenantSettings()) if name == "*" else settings.tenant(name)


def _inner_type(here: Any, name: str) -> Any | None:
    here = _without_none(here)
    if _is_struct(here):
        return _field_types(here).get(name)
    if typing.get_origin(here) is dict:
        return typing.get_args(here)[1]
    return Any if here is Any else None


def _faults_in(value: Any, expected: Any, path: Path) -> Iterator[tuple[Path, FieldError]]:
    plain = _without_none(expected)
    if value is not None and _is_struct(plain):
        yield from _faults_in_struct(value, plain, path)
    elif typing.get_origin(plain) is dict and typing.get_args(plain)[1] is not Any:
        yield from _faults_in_dict(value, typing.get_args(plain)[1], path)
    else:
        try:
            msgspec.convert(value, expected)
        except (msgspec.ValidationError, RecursionError) as error:
            reason = _reason(str(error), expected)
            yield (
                path,
                FieldError(
                    canonical(path), SECRETS_CURE if "api_key" in path else f"{reason}, got {_shown(value, path)}"
                ),
            )


def _reason(message: str, expected: Any) -> str:
    """What msgspec says, without the value that it quotes: whether that may be shown is for others to decide."""
    reason = with_choices(message, expected).split(" - at `")[0].split(", got `")[0]
    return f"Expected {reason.rpartition(', expected ')[2]}" if reason.startswith("Invalid enum value") else reason


def _faults_in_struct(value: Any, expected: type, path: Path) -> Iterator[tuple[Path, FieldError]]:
    if not isinstance(value, dict):
        yield path, FieldError(canonical(path), f"Expected an object, got {_shown(value, path)}")
        return
    field_types = _field_types(expected)
    for name, inner in value.items():
        if name in field_types:
            yield from _faults_in(inner, field_types[name], (*path, name))
        else:
            yield (*path, name), _unknown(path, name, expected)


def _faults_in_dict(value: Any, inner_type: Any, path: Path) -> Iterator[tuple[Path, FieldError]]:
    if not isinstance(value, dict):
        yield path, FieldError(canonical(path), f"Expected an object of names, got {_shown(value, path)}")
        return
    for name, inner in value.items():
        yield from _faults_in(inner, inner_type, (*path, str(name)))


def _unknown(parent: Path, name: str, here: Any) -> FieldError:
    path = canonical((*parent, name))
    here = _without_none(here)
    if name in NOT_YET.get((parent[0], "*") if len(parent) == 2 else parent, ()):
        return FieldError(path, "is not known to this version of dayshift; a later one brings it")
    if not _is_struct(here):
        return FieldError(path, f"does not exist: {canonical(parent)} is a plain value, set it as a whole")
    names = sorted(_field_types(here))
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return FieldError(path, f"does not exist; did you mean {canonical((*parent, close[0]))}?")
    hint = f"; quote a name that holds a dot: {parent[0]}.{_quoted(parent[1] + '.' + name)}" if len(parent) == 2 else ""
    return FieldError(path, f"does not exist; there {'are' if len(names) > 1 else 'is'} {', '.join(names)}{hint}")


def _quoted(name: str) -> str:
    return msgspec.json.encode(name).decode()


def _shown(value: Any, path: Path) -> str:
    """What was given; not where it may be a key that was put into the wrong place."""
    if path[:1] == ("providers",) and not isinstance(value, int | float):
        return "something else"
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        text = repr(type(value).__name__)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def _field_types(struct: type) -> dict[str, Any]:
    return typing.get_type_hints(struct, include_extras=True)


def _is_struct(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, msgspec.Struct)


def _without_none(candidate: Any) -> Any:
    if typing.get_origin(candidate) in {typing.Union, types.UnionType}:
        options = [option for option in typing.get_args(candidate) if option is not types.NoneType]
        if len(options) == 1:
            return options[0]
    return candidate
