"""Where webhooks may go: which URLs are taken, and which addresses are on the public internet.

A URL comes from a stranger, and we stand where they do not: beside databases, cloud metadata and each other's doors. So an address is
held against what is known to be public, and not against a list of what is known to be private.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from msgspec import Struct

LONGEST_URL = 2_048
PORTS = {"https": 443, "http": 80}

_URL = re.compile(r"(?i:https?)://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[/?][!-~]*)?")
_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
_LOW_32_BITS = 0xFFFFFFFF


class Target(Struct, frozen=True):
    """A URL, taken apart. `host` is a name or an address, without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """As the header Host says it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str) -> Target:
    """Take a URL apart. Raises ValueError with what is wrong, and never with the URL itself, which may hold a secret."""
    if len(url) > LONGEST_URL or _URL.fullmatch(url) is None or "#" in url:
        raise ValueError(
            f"must be an https URL of at most {LONGEST_URL} characters, without a user, a fragment, or anything but ASCII"
        )
    try:
        parts = urlsplit(url)
        port = PORTS[parts.scheme] if parts.port is None else parts.port
        host = parts.hostname or ""
        if ":" in host:
            ip_address(host)
    except ValueError:
        raise ValueError("must name a host and a port that can be") from None
    if not host or port == 0 or any(len(label) > 63 for label in host.split(".")) or len(host) > 253:
        raise ValueError("must name a host and a port that can be")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, path)


def checked_target(url: str, *, allow_private: bool) -> Target:
    """The target of a URL that may be told to. Raises ValueError. What a name resolves to is looked at when it is called."""
    target = target_of(url)
    if allow_private:
        return target
    if target.scheme != "https":
        raise ValueError("must be https, unless the setting webhooks.allow_private is true")
    try:
        address = ip_address(target.host)
    except ValueError:
        return target
    if not is_public(str(address)):
        raise ValueError("must not be a private address, unless the setting webhooks.allow_private is true")
    return target


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, in every way that it can be read."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast
    inner = _carried_by(ip)
    if inner is not None:
        return is_public(str(inner))
    return ip in _GLOBAL_UNICAST and ip.is_global and not ip.is_multicast


def _carried_by(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to this one end up at."""
    if ip in _NAT64:
        return IPv4Address(int(ip) & _LOW_32_BITS)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo is not None else None)
