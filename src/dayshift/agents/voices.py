"""What is told live of an attempt's streamed LLM calls, with no line of its author's."""

from collections import Counter
from typing import Protocol

from dayshift.journal import Call, Draft


class Voice(Protocol):
    """`call` names a call of the task, in all its attempts. From any thread; returns at once."""

    def delta(self, call: str, text: str) -> None:
        """The model has said this much more."""

    def restarted(self, call: str) -> None:
        """What was said in that call before is void: it begins anew."""


class Silent:
    """Tells nobody."""

    def delta(self, call: str, text: str) -> None:
        """Nothing."""

    def restarted(self, call: str) -> None:
        """Nothing."""


class CallNames:
    """Names of an attempt's calls that another attempt gives as well: by what is asked, and for how many times."""

    def __init__(self) -> None:
        self._asked = Counter[bytes]()
        self._names: dict[str, str] = {}  # by the ids of the drafts

    def passed(self, call: Call) -> None:
        """It was answered from the journal."""
        self._asked[call.key] += 1

    def of(self, draft: Draft) -> tuple[str, bool]:
        """Its name, and whether it is asked for here for the first time."""
        name = self._names.get(draft.id)
        if name is not None:
            return name, False
        key = draft.call.key
        name = self._names[draft.id] = f"{key.hex()[:16]}-{self._asked[key]}"
        self._asked[key] += 1
        return name, True

    def retracted(self, draft: Draft) -> None:
        """It is tried again, as the same call."""
        if self._names.pop(draft.id, None) is not None:
            self._asked[draft.call.key] -= 1
