"""Rescue: what happens to a dead worker's tasks."""


class Rescue:
    async def rescue_worker(self, worker_id: str, reason: str, *, only_if_silent_seconds: float | None = None) -> int:
        """Release the worker's leases in both planes and requeue its tasks; returns how many. Safe to repeat.

        A supervisor that saw its child die passes no silence; the rescuer passes 10 s, which the ledger checks again.
        """
        raise NotImplementedError
