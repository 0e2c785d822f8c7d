"""What a worker is told from outside: that there is work, that a task was cancelled or something came that it waits for, that the settings or the plane changed.

Pushes make it fast. Each has a slower way beside it that makes it sure: the claimer's timer, the pulse, which names
the cancelled tasks once a second, and the looks of `Waits`.
"""

from collections.abc import Callable

from dayshift.hotplane import channels
from dayshift.tasks.services import Services

CANCEL = "cancel"
NEWS = "news"


class Hearing:
    """Passes on what is said to this worker, under whichever id it has."""

    def __init__(
        self,
        services: Services,
        *,
        on_work: Callable[[], None],
        on_cancels: Callable[[list[str]], None],
        on_news: Callable[[str], None],
    ) -> None:
        self._services = services
        self._on_work = on_work
        self._on_cancels = on_cancels
        self._on_news = on_news
        services.pulse.on_cancels(self._hear_cancels)
        services.pulse.on_epoch(self._hear_news)
        services.pulse.on_settings(self._hear_news)
        services.pushes.on_reconnected(on_work)

    async def listen(self, worker_id: str) -> None:
        """Hear what is pushed to that worker; nothing is missed once this returns."""
        await self._services.pushes.listen(channels.worker(worker_id), self._hear_push)

    def leave(self, worker_id: str) -> None:
        self._services.pushes.leave(channels.worker(worker_id), self._hear_push)

    def _hear_push(self, payload: bytes) -> None:
        word, _, task_id = payload.decode().partition(" ")
        if word == CANCEL:
            self._on_cancels([task_id])
        elif word == NEWS:
            self._on_news(task_id)
        else:
            self._on_work()

    async def _hear_cancels(self, task_ids: list[str]) -> None:
        self._on_cancels(task_ids)

    async def _hear_news(self, _number: int) -> None:
        self._on_work()
