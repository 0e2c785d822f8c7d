"""The services of one process, made of its two planes: doors and workers take what they need from here."""

from collections.abc import Callable

from dayshift.domain.settings import Settings
from dayshift.hotplane import Plane
from dayshift.ledger import Ledger
from dayshift.tasks.background import Background
from dayshift.tasks.control import Control
from dayshift.tasks.depth import Admission
from dayshift.tasks.finishing import Finishing
from dayshift.tasks.intake import Intake
from dayshift.tasks.pulse import Pulse
from dayshift.tasks.refill import Refill
from dayshift.tasks.rescue import Rescue
from dayshift.tasks.starting import Starting
from dayshift.tasks.waiting import Waiters


class Services:
    """Wires the rooms' parts. `open` after both planes are open; `close` before them; both safe to repeat.

    `worker_id` answers this process's worker id at this moment (None in a gateway or in maintenance).
    """

    ledger: Ledger
    plane: Plane
    settings: Callable[[], Settings]
    background: Background
    intake: Intake
    admission: Admission
    control: Control
    waiters: Waiters
    starting: Starting
    finishing: Finishing
    rescue: Rescue
    refill: Refill
    pulse: Pulse

    def __init__(
        self,
        ledger: Ledger,
        plane: Plane,
        settings: Callable[[], Settings],
        *,
        version: str | None = None,
        worker_id: Callable[[], str | None] = lambda: None,
    ) -> None:
        raise NotImplementedError

    async def open(self) -> None: ...

    async def close(self, grace_seconds: float = 5.0) -> None: ...
