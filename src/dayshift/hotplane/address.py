"""Where the server is: the forms of URL that are understood, and opening one connection to what they name.

    redis://[user:password@]host[:port][/db]        also valkey://; rediss:// and valkeys:// for TLS
    unix:///path/to/socket[?db=N]
    redis+sentinel://[user:password@]host:port,host:port/service[/db]       also valkey+sentinel://

A URL may hold a password, so no error ever quotes it; `name` is the address without credentials.
"""

import asyncio
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from dayshift.domain.errors import DayshiftError, PlaneAway, WrongUse
from dayshift.hotplane.border import FOREIGN_ERRORS, translated

_FORMS: Final = (
    "redis://host:6379/0, rediss://..., valkey://..., unix:///path or redis+sentinel://host:26379,.../service"
)
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_OPTIONS: Final = frozenset(
    {"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}
)


class Address(Struct, frozen=True):
    """One parsed URL. `hosts` has one entry, or the sentinels that are asked for the primary of `service`."""

    name: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    tls: bool = False
    credentials: tuple[str | None, str | None] = (None, None)
    options: dict[str, Any] = {}

    async def connect(self, timeout_seconds: float) -> AbstractConnection:
        """A connection that is authenticated and has its database selected; raises our errors only."""
        if self.service:
            return await _opened(await self._primary(timeout_seconds), self.name, timeout_seconds)
        connection = self._connection(*self.hosts[0], timeout_seconds) if self.hosts else self._unix(timeout_seconds)
        return await _opened(connection, self.name, timeout_seconds)

    async def _primary(self, timeout_seconds: float) -> AbstractConnection:
        trouble: DayshiftError | None = None
        for host, port in self.hosts:
            sentinel = Connection(host=host, port=port, **_settings(timeout_seconds))
            try:
                await _opened(sentinel, self.name, timeout_seconds)
                await sentinel.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
                found = await sentinel.read_response(timeout=timeout_seconds)
                if found is not None:
                    return self._connection(found[0].decode(), int(found[1]), timeout_seconds)
            except DayshiftError as error:
                trouble = error
            except FOREIGN_ERRORS as error:
                trouble = translated(error, self.name)
            finally:
                await sentinel.disconnect(nowait=True)
        raise trouble or PlaneAway(f"no sentinel of {self.name} knows a primary of the service '{self.service}'")

    def _connection(self, host: str, port: int, timeout_seconds: float) -> Connection:
        kind = SSLConnection if self.tls else Connection
        user, password = self.credentials
        settings = _settings(timeout_seconds) | self.options
        return kind(host=host, port=port, username=user, password=password, **settings)

    def _unix(self, timeout_seconds: float) -> UnixDomainSocketConnection:
        user, password = self.credentials
        settings = _settings(timeout_seconds) | self.options
        return UnixDomainSocketConnection(path=self.path, username=user, password=password, **settings)


def parse(url: str) -> Address:
    """Read a URL; `WrongUse` says what is wrong with it without quoting it."""
    try:
        return _parsed(url)
    except ValueError:
        raise WrongUse(f"DAYSHIFT_VALKEY_URL is no valid URL; write {_FORMS}") from None


def _parsed(url: str) -> Address:
    scheme, _, rest = url.partition("://")
    base, _, form = scheme.lower().replace("valkey", "redis").partition("+")
    if form == "cluster":
        raise WrongUse("Valkey Cluster comes later; give DAYSHIFT_VALKEY_URL one primary, or sentinels")
    if base not in ("redis", "rediss", "unix") or form not in ("", "sentinel") or not rest:
        raise WrongUse(f"DAYSHIFT_VALKEY_URL does not begin with a known scheme; write {_FORMS}")
    parts = urlsplit(f"{base}://{rest}")
    options = _options(parts.query)
    login, _, places = parts.netloc.rpartition("@")
    user, colon, password = login.partition(":")
    credentials = (unquote(user) or None, unquote(password) if colon else None)
    if base == "unix":
        path = unquote(parts.path)
        return Address(f"unix:{path}", path=path, credentials=credentials, options=options)
    service, _, number = parts.path.strip("/").rpartition("/") if form else ("", "", parts.path.strip("/"))
    if form and not service:
        service, number = number, ""
    if form and not service:
        raise WrongUse(
            "the sentinel form of DAYSHIFT_VALKEY_URL needs the service's name: redis+sentinel://host/service"
        )
    if number:
        options.setdefault("db", int(number))
    hosts = tuple(_host(place, _SENTINEL_PORT if form else _PORT) for place in places.split(","))
    return Address(
        f"{places or 'localhost'}/{service or options.get('db', 0)}",
        hosts,
        "",
        service,
        base == "rediss",
        credentials,
        options,
    )


def _host(place: str, port: int) -> tuple[str, int]:
    found = urlsplit(f"//{place}")
    return found.hostname or "localhost", found.port or port


def _options(query: str) -> dict[str, Any]:
    options: dict[str, Any] = {name: values[0] for name, values in parse_qs(query).items()}
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise WrongUse(
            f"DAYSHIFT_VALKEY_URL has an unknown option '{unknown[0]}'; known are {', '.join(sorted(_OPTIONS))}"
        )
    if "db" in options:
        options["db"] = int(options["db"])
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"].lower() in ("1", "true", "yes")
    return options


def _settings(timeout_seconds: float) -> dict[str, Any]:
    """Reads are bounded by their owners, who know what is outstanding; a failed connect is repeated by them too."""
    return {
        "socket_timeout": None,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "client_name": "dayshift",
        "driver_info": None,
    }


async def _opened(connection: AbstractConnection, name: str, timeout_seconds: float) -> AbstractConnection:
    try:
        async with asyncio.timeout(timeout_seconds):  # a stopped server accepts, and then says nothing
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py left it bare
    except FOREIGN_ERRORS as error:
        await connection.disconnect(nowait=True)
        raise translated(error, name) from None
    return connection
