"""Which requests are calls: those to a provider's address, with a method and a path that one of its formats has.

All else at the same host passes untouched: files, uploads, realtime, trace ingestion, polling.
"""

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from dayshift.llm.formats import Format

_PORTS = {"http": 80, "https": 443}


class Url(Protocol):
    """The URL of an HTTP library, as far as it is looked at."""

    @property
    def scheme(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int | None: ...
    @property
    def path(self) -> str: ...


def place_of(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path, so that two ways to write one place are equal: in capitals, or with the port that goes without saying."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0), parts.path


class Address(Struct, frozen=True):
    """Where a provider is: all of scheme, host, port and prefix must fit. `prefix` is without a slash at its end."""

    provider: str
    scheme: str
    host: str
    port: int
    prefix: str
    formats: tuple[Format, ...]

    @classmethod
    def of(cls, provider: str, base_url: str, formats: tuple[Format, ...]) -> "Address":
        """Read a base URL as the SDKs take it."""
        return cls(provider, *place_of(base_url.rstrip("/")), formats)


class Addresses:
    """All that are known. Asked at every request, so hosts are looked up first."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._of_host: dict[str, list[Address]] = {}
        for address in addresses:
            self._of_host.setdefault(address.host, []).append(address)

    def call_of(self, method: str, url: Url) -> tuple[str, Format] | None:
        """The provider and the format that a request is a call of; None when it is none."""
        if method != "POST":
            return None
        for address in self._of_host.get(url.host, ()):
            if (url.scheme, url.port or _PORTS.get(url.scheme, 0)) == (address.scheme, address.port):
                for api in address.formats:
                    if url.path == address.prefix + api.path:
                        return address.provider, api
        return None
