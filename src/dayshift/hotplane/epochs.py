"""Losing the plane and building it again, and the policy that a rebuild must bring with it.

An epoch is a number that the ledger raises when the plane was lost. State keys carry it in their names and every script
over state compares it with the marker, so that a process with an old epoch can neither read nor write the new one, and
nobody sees a half-built plane: the marker is written last. A rebuild is

    plane.epoch = raised; apply_policy(..., rebuilding=True); restore_running(...); enqueue(..., rebuilding=True);
    mark_cold(..., rebuilding=True); write_marker(); drop_old_epochs()

and may be left half-way: whoever goes on raises the epoch again.
"""

import asyncio
from collections.abc import Mapping, Sequence

from dayshift.domain.task import Place
from dayshift.hotplane import channels, keys
from dayshift.hotplane.dispatch import MAX_TASKS_A_CALL, flattened
from dayshift.hotplane.shapes import PlaneState
from dayshift.hotplane.state import State

_SCAN_PIECE = 1_000


class Epochs:
    """The plane's beginning and end."""

    _state: State

    async def state(self) -> PlaneState:
        """What this server is and which epoch it is ready for; needs no epoch."""
        wire = self._state.wire
        info, marker = await asyncio.gather(wire.ask(b"INFO", "server"), wire.ask(b"GET", keys.MARKER))
        lines = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        return PlaneState(lines.get("run_id", ""), int(marker) if marker is not None else None)

    async def apply_policy(
        self,
        version: int,
        weights: Mapping[str, float],
        caps: Mapping[str, int | None],
        *,
        rebuilding: bool = False,
    ) -> bool:
        """Put tenants' weights and concurrency caps in force; False when a newer version already is.

        `*` speaks for all tenants that have no entry of their own; a cap of None is no cap. Tenants that were set aside
        at a lower cap are taken back in, and workers are woken for them.
        """
        weighed = [
            item for tenant, weight in weights.items() for item in (_escaped_tenant(tenant), repr(float(weight)))
        ]
        capped = [
            item for tenant, cap in caps.items() for item in (_escaped_tenant(tenant), -1 if cap is None else cap)
        ]
        return bool(
            await self._state.run("apply_policy", version, len(weights), *weighed, *capped, rebuilding=rebuilding)
        )

    async def restore_running(self, held: Sequence[tuple[str, Place]]) -> None:
        """During a rebuild: note which worker holds which task, by the ledger's word."""
        for start in range(0, len(held), MAX_TASKS_A_CALL):
            piece = held[start : start + MAX_TASKS_A_CALL]
            flat = [item for worker_id, place in piece for item in (worker_id, *flattened(place))]
            await self._state.run("restore_running", *flat, rebuilding=True)

    async def write_marker(self) -> None:
        """End a rebuild: the plane is ready under `epoch`, and every process is told so."""
        await self._state.run("write_marker", channels.ALL, rebuilding=True)

    async def drop_old_epochs(self) -> int:
        """Remove what epochs before the present one left behind, in bounded pieces; answers how many keys.

        A later epoch is left alone: it belongs to a rebuild that has overtaken this one.
        """
        dropped = 0
        cursor = b"0"
        while True:
            cursor, found = await self._state.wire.ask(b"SCAN", cursor, "MATCH", keys.STATE + "*", "COUNT", _SCAN_PIECE)
            old = [key for key in found if _is_before(keys.epoch_of(key.decode()), self._state.epoch)]
            if old:
                dropped += int(await self._state.wire.ask(b"UNLINK", *old))
            if cursor == b"0":
                return dropped


def _escaped_tenant(tenant: str) -> str:
    return keys.escaped(tenant)


def _is_before(epoch: int | None, present: int) -> bool:
    return epoch is not None and epoch < present
