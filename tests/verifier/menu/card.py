"""How a fault gets on the menu, and how it is made."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.verifier.fleet import Fleet
from tests.verifier.plan import Kind, Planned
from tests.verifier.record import Hit

Made = AsyncIterator[Hit]
Blow = Callable[[Fleet, Planned], AbstractAsyncContextManager[Hit]]
MENU: dict[str, tuple[Kind, Blow]] = {}


def fault(
    name: str,
    *hits: str,
    weight: float,
    lasts: tuple[float, float] = (0.0, 0.0),
    rest: float = 3.0,
    slow: bool = False,
) -> Callable[[Callable[[Fleet, Planned], Made]], Blow]:
    """Put a fault on the menu; see `Kind` for the words."""
    kind = Kind(name=name, hits=hits, weight=weight, lasts_seconds=lasts, rest_seconds=rest, is_fast=not slow)

    def enter(make: Callable[[Fleet, Planned], Made]) -> Blow:
        blow = asynccontextmanager(make)
        MENU[name] = kind, blow
        return blow

    return enter


async def strike(fleet: Fleet, planned: Planned, hits: list[Hit]) -> Hit:
    """Make the fault, note it, let it last, heal it. Raises what the healing met; the hit is noted all the same."""
    _, blow = MENU[planned.kind]
    began_at = time.time()
    hit: Hit | None = None
    try:
        async with blow(fleet, planned) as hit:
            hit.number, hit.kind, hit.began_at = planned.number, planned.kind, began_at
            await asyncio.sleep(planned.lasts_seconds)
            hit.over_at = time.time() if planned.lasts_seconds else began_at
    finally:
        if hit is not None:
            hit.healed_at = time.time()
            hits.append(hit)
    return hit


def chosen(items: list[int], planned: Planned) -> int:
    """One of them, by the plan's choice; 0 when there is none at this moment."""
    return items[int(planned.choice * len(items))] if items else 0
