"""Lets a worker process kill itself with SIGKILL at one moment of one effect: exactly there, where a signal from outside
would come a little before or after.

    before     the agent is about to do it; all that came before is recorded and handed on
    begun      an LLM call: the provider has the request; a tool: written down as started if it must be, not yet done
    amid       a streamed LLM call: part of the answer has been handed on
    answered   the answer is here, the tool has done its work; nothing of it is recorded
    committing some time in the 3 ms in which it is written, and perhaps a little after
    recorded   it is in the ledger; the agent has not been told

Effects are numbered from 1 in the order in which the agent comes to them. `before` the one that follows the last is the
moment in which the agent has returned.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec

from dayshift.agents.calling import Calling
from dayshift.domain.effect import EffectKind
from dayshift.journal import AttemptJournal, Draft
from dayshift.llm.capture.core import Reading

MOMENTS = ("before", "begun", "amid", "answered", "committing", "recorded")
_COUNTED = (EffectKind.LLM, EffectKind.TOOL)
EVENTS_HANDED_ON = 3
COMMITTING_SECONDS = 0.003


class Plan(msgspec.Struct, frozen=True):
    """Die at this moment of the effect with this number."""

    moment: str
    number: int


def die_by(plan: Plan, provider_url: str) -> None:
    """Take the plan to heart: this process ends by it, if its agent ever comes there."""
    _Killer(plan, provider_url).lie_in_wait()


class _Killer:
    def __init__(self, plan: Plan, provider_url: str) -> None:
        self._plan = plan
        self._provider_url = provider_url
        self._count = 0
        self._numbers: dict[bytes, int] = {}
        self._latest_call = 0
        self._events = 0

    def lie_in_wait(self) -> None:
        _before(AttemptJournal, "take", self._taken)
        _before(AttemptJournal, "begin", self._begun)
        _before(AttemptJournal, "settle", lambda _journal, _ended_by: self._reach("before", self._count + 1))
        for make in ("make", "make_here"):
            _before(Calling, make, lambda calling: self._reach("begun", self._number_of(calling.call.key)))
        _before(Reading, "is_last", self._passed_on)
        self._around_record()

    def _taken(self, _journal: AttemptJournal, call: Any) -> None:
        if call.kind in _COUNTED:
            self._count += 1
            self._numbers[call.key] = self._count
            self._reach("before", self._count)

    def _begun(self, _journal: AttemptJournal, call: Any) -> None:
        if call.kind == EffectKind.LLM:
            self._latest_call, self._events = self._number_of(call.key), 0
            if self._plan == Plan("begun", self._latest_call):
                threading.Thread(target=self._die_when_the_provider_has_it, daemon=True).start()

    def _die_when_the_provider_has_it(self) -> None:
        with httpx2.Client(base_url=self._provider_url) as http:
            while not http.get("/_fake/stats").json()["open"]:
                time.sleep(0.001)
        _die()

    def _die_soon(self) -> None:
        time.sleep(random.Random(self._plan.number).uniform(0, COMMITTING_SECONDS))
        _die()

    def _passed_on(self, _reading: Reading, _event: Any) -> None:
        self._events += 1
        if self._events > EVENTS_HANDED_ON:
            self._reach("amid", self._latest_call)

    def _around_record(self) -> None:
        record = AttemptJournal.record

        async def recording(journal: AttemptJournal, draft: Draft, *arguments: Any, **named: Any) -> Any:
            number = self._number_of(draft.call.key)
            self._reach("answered", number)
            self._reach("begun", number)  # where the provider was faster than the look at it
            if self._plan == Plan("committing", number):
                threading.Thread(target=self._die_soon, daemon=True).start()
            stands = await record(journal, draft, *arguments, **named)
            self._reach("recorded", number)
            return stands

        AttemptJournal.record = recording  # type: ignore[method-assign]

    def _number_of(self, key: bytes) -> int:
        return self._numbers.get(key, 0)

    def _reach(self, moment: str, number: int) -> None:
        if (self._plan.moment, self._plan.number) == (moment, number):
            _die()


def _before(owner: type, name: str, look: Callable[..., None]) -> None:
    method = getattr(owner, name)

    def looking(self: Any, *arguments: Any, **named: Any) -> Any:
        look(self, *arguments, **named)
        return method(self, *arguments, **named)

    setattr(owner, name, looking)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
