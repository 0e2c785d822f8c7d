"""The configuration of a process: what it must know before it can reach anything. The only reader of the environment.

What may change while dayshift runs is a setting (`dayshift.settings`), not configuration. Everything here has a default,
so that `dayshift run` works on a machine where nothing is set. An empty variable counts as unset.
"""

import ipaddress
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit

from msgspec import Struct

from dayshift.domain.errors import WrongUse

DEFAULT_PORT = 8700
PLACEHOLDER_KEY = "dayshift-placeholder"
HASH_SEED_VARIABLE, HASH_SEED = "PYTHONHASHSEED", "0"
DATABASE_SCHEMES = ("postgresql", "postgres")
VALKEY_SCHEMES = ("redis", "rediss", "valkey", "valkeys", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster")
LOG_FORMATS = ("json", "pretty")
LOG_LEVELS = ("debug", "info", "warning", "error")


class Variable(Struct, frozen=True):
    """One environment variable. `meaning` is its line in docs/reference/environment.md."""

    name: str
    field: str
    default: str
    meaning: str
    secret: bool = False


VARIABLES = (
    Variable(
        "DAYSHIFT_DATABASE_URL",
        "database_url",
        "embedded",
        "PostgreSQL, as `postgresql://USER:PASSWORD@HOST:PORT/NAME`; `?pgbouncer=true` behind PgBouncer. Unset: `run` and "
        "`serve` start an embedded one, and other commands use the one that runs on `DAYSHIFT_DATA`.",
        secret=True,
    ),
    Variable(
        "DAYSHIFT_VALKEY_URL",
        "valkey_url",
        "embedded",
        "Valkey or Redis: `redis://`, `rediss://`, `valkey://`, `unix://`, or a sentinel or cluster form. Unset: as above.",
        secret=True,
    ),
    Variable("DAYSHIFT_DATA", "data_dir", "`.dayshift`", "Folder for the embedded engines and for the metrics files."),
    Variable("DAYSHIFT_HOST", "host", "`127.0.0.1`", "Where the gateway listens, and where clients find it."),
    Variable("DAYSHIFT_PORT", "port", "`8700`", "The gateway's port."),
    Variable(
        "DAYSHIFT_TLS_CERT",
        "tls_cert",
        "none",
        "The gateway's certificate with its chain, a PEM file: it speaks TLS then. Unset: a proxy does, or nobody.",
    ),
    Variable("DAYSHIFT_TLS_KEY", "tls_key", "none", "The key of that certificate, a PEM file without a password."),
    Variable(
        "DAYSHIFT_TRUSTED_PROXIES",
        "trusted_proxies",
        "none",
        "Addresses and networks, with commas between: whose `X-Forwarded-For` and `X-Forwarded-Proto` the gateway believes.",
    ),
    Variable("DAYSHIFT_API_KEY", "api_key", "none", "The key that client commands present (`dsk_...`).", secret=True),
    Variable("DAYSHIFT_VERSION", "version", "none", "The version of the agents' code; shown on tasks and workers."),
    Variable("DAYSHIFT_LOG", "log_format", "by terminal", "`json` or `pretty`; pretty on a terminal, JSON otherwise."),
    Variable("DAYSHIFT_LOG_LEVEL", "log_level", "`info`", "`debug`, `info`, `warning` or `error`."),
    Variable("OPENAI_API_KEY", "openai_api_key", "none", "OpenAI's key; given to the official SDK.", secret=True),
    Variable(
        "OPENAI_BASE_URL", "openai_base_url", "OpenAI's address", "Where the OpenAI SDK sends its calls.", secret=True
    ),
    Variable("ANTHROPIC_API_KEY", "anthropic_api_key", "none", "Anthropic's key, likewise.", secret=True),
    Variable(
        "ANTHROPIC_BASE_URL",
        "anthropic_base_url",
        "Anthropic's address",
        "Where Anthropic's SDK sends its calls.",
        secret=True,
    ),
)
_SECRET_FIELDS = frozenset(variable.field for variable in VARIABLES if variable.secret)


class Config(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """What a process was told by its environment. Secrets do not show in its repr."""

    database_url: str | None = None
    valkey_url: str | None = None
    data_dir: Path = Path(".dayshift")
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    api_key: str | None = None
    version: str | None = None
    log_format: Literal["json", "pretty"] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    openai_api_key: str | None = None
    openai_base_url: str | None = None
    anthropic_api_key: str | None = None
    anthropic_base_url: str | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Config":
        """Read and check the environment. Raises `WrongUse` that names the variable and the cure."""
        given: dict[str, Any] = {}
        for variable in VARIABLES:
            text = environ.get(variable.name, "").strip()
            if text and text != PLACEHOLDER_KEY:  # ours, from this process or from the one that started it: no key
                given[variable.field] = _READERS.get(variable.field, _as_it_is)(variable.name, text)
        _refuse_one_without_the_other(given)
        return cls(**given)

    @property
    def gateway_url(self) -> str:
        """Where a client on this machine finds the gateway."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"{self.scheme}://[{host}]:{self.port}" if ":" in host else f"{self.scheme}://{host}:{self.port}"

    @property
    def scheme(self) -> Literal["http", "https"]:
        """What the gateway speaks."""
        return "http" if self.tls_cert is None else "https"

    @property
    def has_a_provider(self) -> bool:
        """Whether any LLM provider is named, by a key or by an address of its own."""
        return any((self.openai_api_key, self.openai_base_url, self.anthropic_api_key, self.anthropic_base_url))

    def __repr__(self) -> str:
        shown = (f"{field}={self._shown(field)}" for field in self.__struct_fields__)
        return f"Config({', '.join(shown)})"

    def __rich_repr__(self) -> Any:
        for field in self.__struct_fields__:
            yield field, self._shown(field)

    def _shown(self, field: str) -> str:
        value = getattr(self, field)
        return "[given]" if field in _SECRET_FIELDS and value is not None else repr(value)


def set_placeholder_keys() -> None:
    """Give this process a provider key where there is none, so that `AsyncOpenAI()` at an agent's import works.

    A call with it is answered by the local model, or refused by the provider itself.
    """
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        if not os.environ.get(name):
            os.environ[name] = PLACEHOLDER_KEY


def with_fixed_hashes(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that runs agents: a set that goes into a prompt has the same order in every attempt.

    Only there: everywhere else a random seed stands against input that is made to collide.
    """
    return {**environment, HASH_SEED_VARIABLE: environment.get(HASH_SEED_VARIABLE) or HASH_SEED}


def begin_again_with_fixed_hashes() -> None:
    """Replace this process by itself with fixed hashes, unless somebody has chosen. Its pid and open files stay."""
    if not os.environ.get(HASH_SEED_VARIABLE):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], with_fixed_hashes(os.environ))  # noqa: S606 - ourselves


def inherited_environment() -> dict[str, str]:
    """A copy of this process's environment, for the children that it starts."""
    return dict(os.environ)


def _as_it_is(_name: str, text: str) -> str:
    return text


def _port(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        _refuse(name, f"is {text!r}", f"give a port between 0 and 65535, as in {name}={DEFAULT_PORT}")
    return int(text)


def _one_of(*words: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if text.lower() not in words:
            _refuse(name, f"is {text!r}", f"give one of {', '.join(words)}, or leave it unset")
        return text.lower()

    return read


def _url(schemes: tuple[str, ...], example: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        scheme, has_scheme, _rest = text.partition("://")
        if not has_scheme or scheme.lower() not in schemes:
            # The value may hold a password, so only its scheme is told.
            _refuse(name, f"begins with {scheme!r}" if has_scheme else "is no URL", f"give one like {example}")
        try:
            _ = urlsplit(text).hostname  # raises for a broken IPv6 address
        except ValueError as error:
            _refuse(name, f"cannot be read ({error})", f"give one like {example}")
        return text

    return read


def _address(example: str) -> Callable[[str, str], str]:
    """Of a provider: one host, and a port that is one. Where the engines are may be several."""
    read_url = _url(("http", "https"), example)

    def read(name: str, text: str) -> str:
        parts = urlsplit(read_url(name, text))
        try:
            is_whole = bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_whole = False
        if not is_whole:
            _refuse(name, "has no host, or a port that is none", f"give one like {example}")
        return text

    return read


def _proxies(name: str, text: str) -> tuple[str, ...]:
    networks = tuple(part.strip() for part in text.split(",") if part.strip())
    for network in networks:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            _refuse(name, f"names {network!r}", f"give addresses or networks, as in {name}=10.0.0.5,10.1.0.0/16")
    return networks


def _refuse_one_without_the_other(given: Mapping[str, Any]) -> None:
    for one, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if one in given and other not in given:
            _refuse(_name_of(one), f"is set and {_name_of(other)} is not", "set both, or neither")


def _name_of(field: str) -> str:
    return next(variable.name for variable in VARIABLES if variable.field == field)


def _key(name: str, text: str) -> str:
    if not (text.isascii() and text.isprintable()) or " " in text:
        _refuse(name, "holds characters that no key has", "copy the key again, as `dayshift keys create` printed it")
    return text


def _path(_name: str, text: str) -> Path:
    return Path(text).expanduser()


def _refuse(name: str, what: str, cure: str) -> NoReturn:
    raise WrongUse(f"{name} {what}: {cure}", code="invalid_environment")


_READERS: dict[str, Callable[[str, str], Any]] = {
    "database_url": _url(DATABASE_SCHEMES, "postgresql://user:password@host:5432/name"),
    "valkey_url": _url(VALKEY_SCHEMES, "redis://:password@host:6379/0"),
    "data_dir": _path,
    "port": _port,
    "tls_cert": _path,
    "tls_key": _path,
    "trusted_proxies": _proxies,
    "api_key": _key,
    "openai_base_url": _address("https://api.openai.com/v1"),
    "anthropic_base_url": _address("https://api.anthropic.com"),
    "log_format": _one_of(*LOG_FORMATS),
    "log_level": _one_of(*LOG_LEVELS),
}


def secret_named(name: str) -> str | None:
    """What `${env:NAME}` in the settings stands for in this process; None where it is not set.

    A placeholder is a key only to the local model, which is where the provider's address was set with it.
    """
    secret = os.environ.get(name, "").strip() or None
    if secret == PLACEHOLDER_KEY and not os.environ.get(name.replace("_API_KEY", "_BASE_URL")):
        return None
    return secret
