"""The numbers of equal effects.

Two equal calls of one attempt are two effects. They are numbered when they are *recorded*, not when they begin: so it does not
matter which of two that run side by side comes first. A later attempt takes the lowest that it has not used, and what it
has to do itself is given the lowest that is free. Only what must be named to others before it is done (an idempotency key,
a beginning that is written down) is numbered then.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import count

from dayshift.domain.effect import Effect


class Occurrences:
    """Of one attempt. Not locked: its journal does that."""

    def __init__(self, effects: Sequence[Effect]) -> None:
        self._taken: dict[bytes, set[int]] = defaultdict(set)
        self._given: dict[str, int] = {}  # by the id of the effect
        for effect in effects:
            self._taken[effect.key].add(effect.occurrence)

    def keep(self, effect: Effect) -> None:
        """What is done again in its place has its number."""
        self._given[effect.id] = effect.occurrence

    def of(self, effect_id: str, key: bytes) -> tuple[int, bool]:
        """The lowest that is free for the key, and whether it is given now; what has been given one keeps it."""
        given = self._given.get(effect_id)
        if given is not None:
            return given, False
        taken = self._taken[key]
        occurrence = self._given[effect_id] = next(number for number in count() if number not in taken)
        taken.add(occurrence)
        return occurrence, True
