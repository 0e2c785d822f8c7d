"""Admission: how deep the queues are, and whether one more task fits."""

from msgspec import Struct


class QueueDepth(Struct, frozen=True, kw_only=True):
    """One row of `GET /v1/queues`."""

    name: str
    ready: int = 0
    delayed: int = 0
    running: int = 0
    waiting: int = 0
    oldest_seconds: float = 0.0


class Admission:
    def admit(self, tenant: str, queue: str) -> None:
        """Raise `Refused` (codes `queue_full`, `tenant_full`, with `retry_after_seconds`) when it does not fit."""
        raise NotImplementedError

    def queues(self) -> list[QueueDepth]:
        """The last measured depths, plus what this process accepted since."""
        raise NotImplementedError
