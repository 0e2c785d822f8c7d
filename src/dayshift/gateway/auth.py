"""Who a request belongs to. One function decides it: `Gatekeeper.who_is`.

A request carries `Authorization: Bearer dsk_...`, and the key says the tenant and the scopes. Only a gateway that was
built with an open loopback, and while no key was ever made, lets requests of this machine in without a key. Such a
request must come from a loopback address *and* name a loopback host *and* not be sent by a page of another site, as any
web page that this machine's browser shows can reach 127.0.0.1 too. Clients of other APIs cannot be made to send no key: one that
cannot be ours counts for none there.
"""

import ipaddress
from urllib.parse import urlsplit

from dayshift.domain import api_keys
from dayshift.gateway.keyring import KeyRing
from dayshift.gateway.problems import HttpError
from dayshift.gateway.replies import header
from dayshift.gateway.request import Caller, Request

LOOPBACK_CALLER = Caller(tenant="default", scopes=frozenset(api_keys.SCOPES))
_CHALLENGE = [header("www-authenticate", 'Bearer realm="dayshift"')]


class Gatekeeper:
    def __init__(self, ring: KeyRing, *, open_loopback: bool) -> None:
        self._ring = ring
        self._open_loopback = open_loopback

    def who_is(self, request: Request) -> Caller:
        """The caller of a request. Raises `HttpError` (401) when it may not come in at all."""
        authorization = request.header(b"authorization")
        if (authorization is None or _is_of_another_api(authorization)) and self._is_open_to(request):
            return LOOPBACK_CALLER
        if authorization is None:
            raise _unauthorized("missing_key", "send an API key: Authorization: Bearer dsk_... (dayshift keys create)")
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise _unauthorized("bad_key", "the header must read: Authorization: Bearer dsk_...")
        caller = self._ring.find(secret.strip())
        if caller is None:
            raise _unauthorized("bad_key", "this API key is unknown, expired or revoked; ask for a new one")
        return caller

    def _is_open_to(self, request: Request) -> bool:
        return self._open_loopback and not self._ring.any_made and _is_from_this_machine(request)


def require(caller: Caller, scope: str) -> None:
    """Raise `HttpError` (403) unless the caller's key reaches `scope`."""
    if not caller.may(scope):
        held = ", ".join(sorted(caller.scopes)) or "none"
        raise HttpError(403, "scope_missing", f"this needs a key with the scope {scope!r}; this key's scopes: {held}")


def _unauthorized(code: str, message: str) -> HttpError:
    return HttpError(401, code, message, headers=_CHALLENGE)


def _is_of_another_api(authorization: str) -> bool:
    scheme, _, secret = authorization.partition(" ")
    return scheme.lower() == "bearer" and bool(secret.strip()) and not secret.strip().startswith(api_keys.SECRET_PREFIX)


def _is_from_this_machine(request: Request) -> bool:
    client: tuple[str, int] | None = request.scope.get("client")
    if client is None or not _is_loopback_name(client[0]):
        return False
    if request.header(b"x-forwarded-for") or request.header(b"forwarded"):
        return False  # a proxy on this machine speaks for somebody else
    host = request.header(b"host")
    if host is not None and not _is_loopback_name(urlsplit(f"//{host}").hostname or ""):
        return False
    origin = request.header(b"origin")
    return origin is None or urlsplit(origin).netloc == host


def _is_loopback_name(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
