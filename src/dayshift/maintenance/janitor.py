"""Removes what nobody needs any more: tasks past their retention, idempotency keys, idle conversations, old workers, old sums of spending.

Each step deletes in bounded pieces and skips rows that another process is deleting, so several janitors share the work. A
step that does not come to its end leaves the rest to a turn that follows at once: an installation that ends more tasks than
one turn a minute deletes would otherwise keep them for ever. A task's retention counts from its end; dead letters stay
until a person drops them. A conversation is kept as long as its last task, one with a history for as long as the settings say.
"""

from collections.abc import Awaitable, Callable

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.settings import duration_seconds
from dayshift.ledger import Ledger
from dayshift.maintenance.config import MaintenanceConfig
from dayshift.maintenance.loop import Loop
from dayshift.tasks import Services

_PAGE = 2_000
_MOST_PAGES = 50
_BEFORE_ALL = ("", "")


class Janitor(Loop):
    """Tidies once a minute, or on and on while there is much; partitions and conversations once an hour."""

    name = "janitor"

    def __init__(self, services: Services, config: MaintenanceConfig) -> None:
        super().__init__(config.janitor_interval)
        self._services = services
        self._partitions_interval_seconds = config.partitions_interval
        self._partitions_at = float("-inf")
        self._sweep = _Sweep(services.ledger, config.conversations_interval)

    async def run_once(self) -> None:
        tasks, spending = self._services.ledger.tasks, self._services.ledger.spending
        retention = self._services.settings().retention
        keep_seconds = float(duration_seconds(retention.tasks))
        history_seconds = None if retention.conversations is None else float(duration_seconds(retention.conversations))
        if monotonic_seconds() - self._partitions_at >= self._partitions_interval_seconds:  # first: they must be there
            await tasks.make_partitions()
            await tasks.drop_partitions(keep_seconds)
            self._partitions_at = monotonic_seconds()
        is_done = [
            await _in_pieces(lambda: tasks.drop_expired(keep_seconds, _PAGE)),
            await _in_pieces(lambda: tasks.drop_old_idempotency_keys(_PAGE)),
            await _in_pieces(lambda: spending.drop_old(_PAGE)),
            await self._sweep.go_on(keep_seconds, history_seconds),
        ]
        if not all(is_done):
            self.kick()
        await self._services.ledger.workers.remove_old()


class _Sweep:
    """Through all conversations, page by page. No index finds the idle ones: it would be written at each start and end of a
    task, and they are looked for once an hour.
    """

    def __init__(self, ledger: Ledger, interval_seconds: float) -> None:
        self._ledger = ledger
        self._interval_seconds = interval_seconds
        self._began_at = float("-inf")
        self._after: tuple[str, str] | None = None

    async def go_on(self, idle_seconds: float, history_seconds: float | None) -> bool:
        """Go on with a sweep that has not come to its end, or begin one if it is time. False: there is more to do."""
        if self._after is None:
            if monotonic_seconds() - self._began_at < self._interval_seconds:
                return True
            self._began_at, self._after = monotonic_seconds(), _BEFORE_ALL
        for _ in range(_MOST_PAGES):
            sweep = await self._ledger.conversations.forget_idle(
                idle_seconds, history_seconds=history_seconds, after=self._after, limit=_PAGE
            )
            self._after = sweep.next
            if self._after is None:
                return True
        return False


async def _in_pieces(drop: Callable[[], Awaitable[int]]) -> bool:
    """Delete page by page, so that no transaction is long. False: many pages did not suffice."""
    for _ in range(_MOST_PAGES):
        if await drop() < _PAGE:
            return True
    return False
