"""A divergence: an attempt does something that no earlier attempt did, while something like it is recorded and unused.

The agent's code or its input has changed, or the time, a random number or the order of a set went into what it asks for.
It is not an error: what differs is done, and paid for. But whoever did not mean it wants to know what was different.

Branches that run side by side come to their calls in any order, so a call that is not found proves nothing yet: the ones
that are unused now may still be asked for by another branch. What is left when the attempt is over was not asked for.

An unused effect stands for one divergence: what is done after all that was recorded is new, and differs from nothing. What was
done inside of a step whose result was found needs nobody, and is not unused.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from dayshift.domain.effect import Difference, Effect
from dayshift.journal.keys import Call, differences

COMPARED = 20  # how many effects of a call's name are looked at: the one that it was meant to find is among the first
PLACE = "place"  # stands for the step or the branch that something was done in


class Divergence(Struct, frozen=True):
    """`effect` is what the call was probably meant to find; `part` names the first part that differs."""

    effect: Effect
    part: str | None

    def message(self, call: Call) -> str:
        """What happened, and the cure."""
        what = f"{call.kind} {call.name} is not what attempt {self.effect.attempt} did"
        differs = f"its {self.part} differs" if self.part else "it was done less often then"
        if self.part == PLACE:
            differs = "it is done in another step or branch"
        return (
            f"{what} (effect {self.effect.id}): {differs}. Take what changes from run to run (the time, chance, an order that is none) from "
            "ctx.now(), ctx.random(), ctx.uuid(), or from a step; or let the agent pay again without strict=True"
        )


def divergence_of(call: Call, left: Sequence[Effect]) -> Divergence | None:
    """Of the unused effects of that kind and name the one with the fewest differences, the first of several; else the first
    of that kind; None when there is none like it.
    """
    alike = [effect for effect in left if effect.kind == call.kind]
    if not alike:
        return None
    named = [effect for effect in alike if effect.name == call.name][:COMPARED]
    if not named:
        return Divergence(alike[0], "name")
    different = [_differences(effect, call) for effect in named]
    fewest = min(range(len(named)), key=lambda index: len(different[index]))
    return Divergence(named[fewest], different[fewest][0] if different[fewest] else None)


def _differences(effect: Effect, call: Call) -> list[str]:
    found = differences(_digests_of(effect), call.digests)
    return found if effect.scope == call.scope else [*found, PLACE]


def _digests_of(effect: Effect) -> Mapping[str, str]:
    return msgspec.json.decode(effect.digests, type=dict[str, str]) if effect.digests else {}


class Divergences:
    """Those of one attempt."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Call, Divergence]] = {}  # by the id of the unused effect
        self._accounted: set[str] = set()  # unused effects that an earlier attempt did something else instead of
        self._unbegun: dict[bytes, list[Difference]] = {}  # of calls that have not begun yet, by their keys

    def missed(self, call: Call, left: Sequence[Effect]) -> Divergence | None:
        """Note that a call was not found; what it was probably meant to find. One that was not made since is no other call."""
        if self._unbegun.get(call.key):
            return self._found[self._unbegun[call.key][-1].effect][1]
        divergence = divergence_of(call, [effect for effect in left if not self._is_accounted_for(effect)])
        if divergence is not None:
            self._found[divergence.effect.id] = (call, divergence)
            self._unbegun.setdefault(call.key, []).append(Difference(divergence.effect.id, divergence.part))
        return divergence

    def taken(self, effect: Effect) -> None:
        """Note that an effect was found; when it was recorded it may have been missed itself."""
        if effect.differs is not None:
            self._accounted.add(effect.differs.effect)

    def begun(self, call: Call) -> Difference | None:
        """What is to be recorded with a call that was missed and is done now."""
        waiting = self._unbegun.get(call.key)
        return waiting.pop() if waiting else None

    def retracted(self, differs: Difference | None) -> None:
        """The call that was missed is tried again, and will be missed again."""
        if differs is not None:
            del self._found[differs.effect]

    def proven(self, left: set[str]) -> list[tuple[Call, Divergence]]:
        """Those whose effect nobody has asked for since: `left` are the ids of the unused."""
        return [found for identity, found in self._found.items() if identity in left]

    def _is_accounted_for(self, effect: Effect) -> bool:
        return effect.id in self._found or effect.id in self._accounted
