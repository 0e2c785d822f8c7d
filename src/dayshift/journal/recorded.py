"""What earlier attempts recorded, handed out to the attempt that does the same again, each once."""

from collections import defaultdict, deque
from collections.abc import Sequence

from dayshift.domain.effect import Effect, EffectKind
from dayshift.journal.keys import scope_within, scopes_around

_HAVE_AN_INSIDE = frozenset({EffectKind.STEP, EffectKind.TOOL})


class Recorded:
    """Not locked: its attempt's journal does that."""

    def __init__(self, effects: Sequence[Effect]) -> None:
        self._unused: dict[bytes, deque[Effect]] = defaultdict(deque)
        self._within: set[str] = set()  # scopes of what was taken, whose inside nobody needs any more
        self.taken: list[Effect] = []
        for effect in sorted(effects, key=lambda effect: effect.occurrence):
            self._unused[effect.key].append(effect)

    def take(self, key: bytes) -> Effect | None:
        """The lowest unused of the equal ones."""
        unused = self._unused.get(key)
        if not unused:
            return None
        effect = unused.popleft()
        self.taken.append(effect)
        if effect.kind in _HAVE_AN_INSIDE and effect.finished_at is not None:
            self._within.add(scope_within(effect.scope, effect.key))
        return effect

    def left(self) -> list[Effect]:
        """What has not been taken and is still needed, in the order in which it was done."""
        unused = (effect for alike in self._unused.values() for effect in alike)
        return sorted((effect for effect in unused if not self._is_within(effect)), key=lambda effect: effect.id)

    def _is_within(self, effect: Effect) -> bool:
        """Done inside of a step or a tool whose result was taken."""
        return bool(effect.scope) and any(around in self._within for around in scopes_around(effect.scope))
