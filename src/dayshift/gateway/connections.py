"""How many connections of this process one tenant may hold open: event streams, and requests that wait for an end.

Who waits is not at work, so it is not counted there; but each takes memory and one of the open files that this process may
have, and a tenant that took them all would shut the others out. So no tenant holds more than `tenants.NAME.connections`, and
never more than half of the open files. A place is taken before anything is done for the request, and given back when its
answer is over or its client has gone.
"""

import resource
from collections import Counter
from collections.abc import Callable

from dayshift.domain.errors import Refused
from dayshift.domain.jitter import stretched
from dayshift.domain.settings import Settings

_RETRY_AFTER_SECONDS, _RETRY_LATER_BY = 1.0, 3.0


def half_of_the_open_files() -> int:
    """What one tenant may take of a process at most. Ask once the process has raised its allowance."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000_000 if allowed == resource.RLIM_INFINITY else max(1, allowed // 2)


class Connections:
    """Counts what each tenant holds open."""

    def __init__(self, settings: Callable[[], Settings], most_of_one: int) -> None:
        self._settings = settings
        self._most_of_one = most_of_one
        self.held = Counter[str]()

    def hold(self, tenant: str) -> "Held":
        """Take a place. Raises `Refused` (code `connections_full`) when the tenant has as many as it may."""
        most = min(self._settings().tenant(tenant).connections, self._most_of_one)
        if self.held[tenant] >= most:
            raise Refused(
                f"this tenant holds {most} streams and waits open on this gateway already; end some, ask without waiting, "
                f"or raise tenants.{tenant}.connections",
                code="connections_full",
                retry_after_seconds=stretched(_RETRY_AFTER_SECONDS, by=_RETRY_LATER_BY),
                limit=most,
            )
        self.held[tenant] += 1
        return Held(self.held, tenant)


class Held:
    """The place of one request."""

    __slots__ = ("_held", "_tenant")

    def __init__(self, held: Counter[str], tenant: str) -> None:
        self._held = held
        self._tenant: str | None = tenant

    def end(self) -> None:
        """Give the place back. Safe to repeat."""
        tenant, self._tenant = self._tenant, None
        if tenant is None:
            return
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
