"""A divergence: an attempt does something that no earlier attempt did, while something like it is recorded and unused.

The agent's code or its input has changed, or the time, a random number or the order of a set went into what it asks for.
It is not an error: what differs is done, and paid for. But whoever did not mean it wants to know what was different.

Branches that run side by side come to their calls in any order, so a call that is not found proves nothing yet: the ones
that are unused now may still be asked for by another branch. What is left when the attempt is over was not asked for.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from dayshift.domain.effect import Effect
from dayshift.journal.keys import Call, first_difference


class Divergence(Struct, frozen=True):
    """`effect` is what the call was probably meant to find; `part` names the first part that differs."""

    effect: Effect
    part: str | None

    def message(self, call: Call) -> str:
        """What happened, and the cure."""
        what = f"{call.kind} {call.name} is not what attempt {self.effect.attempt} did"
        differs = f"its {self.part} differs" if self.part else "it was done less often then"
        return (
            f"{what} (effect {self.effect.id}): {differs}. Take what changes from run to run (the time, chance, an order that is none) from "
            "ctx.now(), ctx.random(), ctx.uuid(), or from a step; or let the agent pay again without strict=True"
        )


def divergence_of(call: Call, left: Sequence[Effect]) -> Divergence | None:
    """The first unused effect of that kind and name, else of that kind; None when there is none like it."""
    alike = [effect for effect in left if effect.kind == call.kind]
    nearest = next((effect for effect in alike if effect.name == call.name), alike[0] if alike else None)
    if nearest is None:
        return None
    if nearest.name != call.name:
        return Divergence(nearest, "name")
    return Divergence(nearest, first_difference(_digests_of(nearest), call.digests))


def _digests_of(effect: Effect) -> Mapping[str, str]:
    return msgspec.json.decode(effect.digests, type=dict[str, str]) if effect.digests else {}
