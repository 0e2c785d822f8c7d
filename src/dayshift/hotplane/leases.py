"""A worker's lease and what it holds, compared with every beat.

A beat renews the lease and compares one number: the digest of the tasks that the worker holds with the digest that the
plane kept while it gave them out. On a difference the worker sends its full list. A claim or an ack may be under way at
that moment, so a difference is acted on only when two comparisons in a row found it: what the plane has and the worker
has not goes back into its line (a claim's answer was lost), what the worker has and the plane has not is noted as held
(the plane forgot, or an ack of a task that was taken over crossed a beat).
"""

from collections.abc import Sequence
from typing import cast

from dayshift.domain.task import Place
from dayshift.hotplane import keys
from dayshift.hotplane.dispatch import flattened, texts
from dayshift.hotplane.shapes import BeatReply, Reconciled
from dayshift.hotplane.state import State

LEASE_MS = 10_000
_SCAN_PIECE = 1_000


class Leases:
    """Who is alive, and with which tasks."""

    _state: State

    async def beat(self, worker_id: str, count: int, digest: int, ttl_ms: int = LEASE_MS) -> BeatReply:
        """Renew the lease (also while the plane is not ready) and compare what the worker holds."""
        reply = await self._state.run("beat", worker_id, keys.lease(worker_id), ttl_ms, count, digest)
        return cast("BeatReply", reply.decode())

    async def reconcile(self, worker_id: str, held_ids: Sequence[str], places: Sequence[Place] = ()) -> Reconciled:
        """Compare in full. `held_ids`: all that the worker holds; `places`: those of them whose place it knows."""
        known = [flat for place in places for flat in flattened(place)]
        requeued, restored = await self._state.run("reconcile", worker_id, len(held_ids), *held_ids, *known)
        return Reconciled(texts(requeued), texts(restored))

    async def lease_is_gone(self, worker_id: str) -> bool:
        """Whether the plane, being ready to say so, knows no lease of this worker."""
        return bool(await self._state.run("lease_is_gone", keys.lease(worker_id)))

    async def holders(self) -> set[str]:
        """The workers that the plane shows as holding something; reads the key space, so ask rarely."""
        prefix = keys.state_root(self._state.epoch) + keys.STATE_KEYS["held"]
        found: set[str] = set()
        cursor = b"0"
        while True:
            cursor, names = await self._state.wire.ask(
                b"SCAN", cursor, "MATCH", prefix + "*", "COUNT", _SCAN_PIECE, "TYPE", "set"
            )
            found.update(name.decode()[len(prefix) :] for name in names)
            if cursor == b"0":
                return found

    async def release_worker(self, worker_id: str) -> list[str]:
        """Forget a dead or departing worker: its lease, its idle places; what it held goes back to the line's head.

        Answers the ids of the tasks that it held, started or not. The ledger must have released the worker first, or
        the starts of those tasks are refused until it has.
        """
        return texts(await self._state.run("release_worker", worker_id, keys.lease(worker_id)))
