"""Removes what nobody needs any more: tasks past their retention, idempotency keys, idle conversations, old workers.

Each step deletes in bounded pieces and skips rows that another process is deleting, so several janitors share the work. A
step that does not come to its end leaves the rest to a turn that follows at once: an installation that ends more tasks than
one turn a minute deletes would otherwise keep them for ever. A task's retention counts from its end; dead letters stay
until a person drops them.
"""

from collections.abc import Awaitable, Callable

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.settings import duration_seconds
from dayshift.maintenance.config import MaintenanceConfig
from dayshift.maintenance.loop import Loop
from dayshift.tasks import Services

_PAGE = 2_000
_MOST_PAGES = 50


class Janitor(Loop):
    """Tidies once a minute, or on and on while there is much; makes and drops partitions once an hour."""

    name = "janitor"

    def __init__(self, services: Services, config: MaintenanceConfig) -> None:
        super().__init__(config.janitor_interval)
        self._services = services
        self._partitions_interval_seconds = config.partitions_interval
        self._partitions_at = float("-inf")

    async def run_once(self) -> None:
        tasks = self._services.ledger.tasks
        keep_seconds = float(duration_seconds(self._services.settings().retention.tasks))
        if monotonic_seconds() - self._partitions_at >= self._partitions_interval_seconds:  # first: they must be there
            await tasks.make_partitions()
            await tasks.drop_partitions(keep_seconds)
            self._partitions_at = monotonic_seconds()
        is_done = [
            await _in_pieces(lambda: tasks.drop_expired(keep_seconds, _PAGE)),
            await _in_pieces(lambda: tasks.drop_old_idempotency_keys(_PAGE)),
            await _in_pieces(lambda: tasks.forget_idle_conversations(limit=_PAGE)),
        ]
        if not all(is_done):
            self.kick()
        await self._services.ledger.workers.remove_old()


async def _in_pieces(drop: Callable[[], Awaitable[int]]) -> bool:
    """Delete page by page, so that no transaction is long. False: many pages did not suffice."""
    for _ in range(_MOST_PAGES):
        if await drop() < _PAGE:
            return True
    return False
