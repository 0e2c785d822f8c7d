"""What the hot plane must know of the settings: tenants' weights and caps, and how long streams outlive their tasks.

Every process tells the plane of a version that it sees; the plane keeps the newest, so the order does not matter.
"""

from collections.abc import Callable

from dayshift.domain.settings import Settings, duration_seconds
from dayshift.hotplane import Plane

EVERYBODY_ELSE = "*"


class Policy:
    """Carries settings into the plane."""

    def __init__(self, plane: Plane, settings: Callable[[], Settings]) -> None:
        self._plane = plane
        self._settings = settings
        self._version = 0

    async def apply(self, version: int, *, rebuilding: bool = False) -> None:
        """Put this process's settings in force as that version. Raises `PlaneAway`."""
        self._version = version
        settings = self._settings()
        self._plane.finished_seconds = duration_seconds(settings.retention.events)
        tenants = {EVERYBODY_ELSE: settings.tenant(EVERYBODY_ELSE), **settings.tenants}
        await self._plane.apply_policy(
            version,
            {name: tenant.weight for name, tenant in tenants.items()},
            {name: tenant.concurrent for name, tenant in tenants.items()},
            rebuilding=rebuilding,
        )

    async def restore(self) -> None:
        """Into an epoch that is being built: what was applied last."""
        await self.apply(self._version, rebuilding=True)
