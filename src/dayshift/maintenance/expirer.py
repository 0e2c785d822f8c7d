"""Ends queued tasks whose `expires_at` has passed and that no worker came for: nothing ends silently."""

from dayshift.maintenance.config import MaintenanceConfig
from dayshift.maintenance.loop import Loop
from dayshift.tasks import Services, endings

_PAGE = 500


class Expirer(Loop):
    """Several at once share the work: each ends rows that no other has locked."""

    name = "expirer"

    def __init__(self, services: Services, config: MaintenanceConfig) -> None:
        super().__init__(config.expire_interval)
        self._services = services

    async def run_once(self) -> None:
        while True:
            expired = await self._services.ledger.tasks.fail_expired(_PAGE)
            for task in expired:
                endings.tell(self._services.outbox, task)
                self._services.next_in_line.call(task.tenant, task.conversation)
            if len(expired) < _PAGE:
                return
