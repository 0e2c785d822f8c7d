"""The plan of faults: which, when, against whom, for how long. A pure function of the seed.

Faults of different things overlap as they come. One thing is hit again only once it had time to stand up: a fault is over
after `lasts_seconds`, and what it hit is left alone for the `rest_seconds` of its kind.
"""

import random
from collections.abc import Sequence

from msgspec import Struct


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of fault. `name` is `THING.WHAT`; `hits` names the things that nothing else may hit meanwhile."""

    name: str
    hits: tuple[str, ...]
    weight: float
    lasts_seconds: tuple[float, float] = (0.0, 0.0)
    rest_seconds: float = 3.0
    is_fast: bool = True  # short enough for a run of two minutes


class Planned(Struct, frozen=True, kw_only=True):
    """One fault to come. `choice` (0 to 1) picks the victim among those that there are then."""

    number: int
    at_seconds: float
    kind: str
    choice: float
    lasts_seconds: float


def make_plan(seed: int, seconds: float, kinds: Sequence[Kind], every_seconds: float) -> list[Planned]:
    """Faults at random moments, one each `every_seconds` on average, as far as there is something left to hit."""
    dice = random.Random(f"faults {seed}")
    free_from: dict[str, float] = {}
    plan: list[Planned] = []
    at = 0.0
    while kinds:
        at += dice.expovariate(1 / every_seconds)
        if at >= seconds:
            break
        free = [kind for kind in kinds if all(free_from.get(thing, 0.0) <= at for thing in kind.hits)]
        if not free:
            continue
        kind = dice.choices(free, [kind.weight for kind in free])[0]
        lasts_seconds = round(dice.uniform(*kind.lasts_seconds), 2)
        for thing in kind.hits:
            free_from[thing] = at + lasts_seconds + kind.rest_seconds
        plan.append(
            Planned(
                number=len(plan),
                at_seconds=round(at, 2),
                kind=kind.name,
                choice=dice.random(),
                lasts_seconds=lasts_seconds,
            )
        )
    return plan
