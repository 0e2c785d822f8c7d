"""The journal of one attempt: what earlier attempts did, and what this one does.

    take(call) ── found ──▶ the effect of an earlier attempt: hand its result on, do nothing
        └── None ──▶ begin(call) ──do it──▶ record(draft, result) ──commit──▶ hand the result on
                                    ├─────▶ failed(draft, error)    recorded before the next effect, or never
                                    └─────▶ drawn(draft, value)     likewise

**Occurrences** number equal calls when they are recorded (see `occurrences.py`).

**Failures** wait for the next effect, or the end of the attempt, and so do values that were drawn (see `unsettled.py`).

**The law.** No attempt works with an answer that is not the recorded one. So `record` answers with the effect that stands,
which is the one to hand on: nearly always it is the one that was handed in.

Used from the event loop and from the threads of plain functions: finding and counting is locked, writing is done by the
loop.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from dayshift.domain import clock, ids
from dayshift.domain.child import Child
from dayshift.domain.effect import Effect, EffectKind, EffectStatus
from dayshift.domain.errors import Diverged, Superseded
from dayshift.domain.task import Usage
from dayshift.journal.divergence import Divergence, Divergences
from dayshift.journal.keys import Call, canonical_json, name_of_emit, names_in
from dayshift.journal.occurrences import Occurrences
from dayshift.journal.previews import preview_of
from dayshift.journal.recorded import Recorded
from dayshift.journal.results import pack
from dayshift.journal.surviving import Surviving
from dayshift.journal.unsettled import Draft, HandedOn, Unsettled
from dayshift.journal.writer import Nowhere, Writer

_COST_NOTHING = frozenset({EffectKind.VALUE, EffectKind.SLEEP, EffectKind.SIGNAL})


class AttemptJournal:
    """Opened by `Journal.open`. `may_act` raises when this attempt must not do anything any more."""

    def __init__(
        self,
        writer: Writer,
        *,
        task_id: str,
        attempt: int,
        effects: Sequence[Effect],
        may_act: Callable[[], None],
        strict: bool = False,
        preview_characters: Callable[[], int] = lambda: 0,
    ) -> None:
        self._strict = strict
        self._preview_characters = preview_characters
        self.stopped_by: Exception | None = None
        self._writer = writer
        self._task_id = task_id
        self.attempt = attempt
        self._may_act = may_act
        self._lock = threading.Lock()
        self._recorded = Recorded(effects)
        self._occurrences = Occurrences(effects)
        self._divergences = Divergences()
        self._unsettled = Unsettled()
        self._unknown: list[Effect] = []
        self._surviving = Surviving()
        self._usage = Usage()
        self._counts = Counter[str]()
        self._emitted = Counter[bytes]()  # by earlier attempts, and not again by this one
        self._emits: list[bytes] = []  # by this one, since its latest effect
        for effect in effects:
            self._counts[effect.kind] += 1
            self._emitted.update(names_in(effect.emits))
            if effect.usage is not None:
                self._usage += effect.usage

    @classmethod
    def forgetful(cls, writer: Writer | None = None) -> "AttemptJournal":
        """A journal without a ledger behind it, for code that runs outside of a task."""
        return cls(writer or Nowhere(), task_id="local", attempt=1, effects=(), may_act=lambda: None)

    def take(self, call: Call) -> Effect | None:
        """What an earlier attempt recorded of this call, once for each; None when it has to be done."""
        self._check_may_go_on()
        with self._lock:
            found = self._recorded.take(call.key)
            if found is not None:
                self._divergences.taken(found)
                return found
            self._divergences.missed(call, self._recorded.left())
            return None

    def suspicion(self, call: Call) -> Divergence | None:
        """Of a strict agent: the call was not found although something like it is unused, at this moment."""
        if not self._strict or call.kind in _COST_NOTHING:
            return None
        return next((divergence for missed, divergence in self.divergences() if missed.key == call.key), None)

    def stop(self, call: Call, divergence: Divergence) -> Exception:
        """A strict agent would pay again."""
        return self.stop_by(Diverged(divergence.message(call)))

    def stop_by(self, error: Exception) -> Exception:
        """From here on this attempt can do nothing, whatever its code makes of this error: SDKs try again, and frameworks tell the
        model whatever a tool raises. Whoever judges the attempt goes by `stopped_by`, and not by what came out of it.
        """
        self.stopped_by = self.stopped_by or error
        return self.stopped_by

    def check_may_act(self) -> None:
        """Raises Superseded when this attempt must not act any more, and whatever it was stopped by."""
        self._check_may_go_on()
        self._may_act()

    def begin(self, call: Call) -> Draft:
        """Say that the call is about to be made. Raises what `check_may_act` does."""
        self.check_may_act()
        with self._lock:
            differs = self._divergences.begun(call)
        return Draft(ids.new(ids.EFFECT), call, clock.now(), differs, self._preview(call))

    def _preview(self, call: Call) -> str | None:
        if call.asked is None or not (characters := self._preview_characters()):
            return None
        return preview_of(call.asked, characters)

    def begin_again(self, effect: Effect, call: Call) -> Draft:
        """Do what an earlier attempt has begun and left without an outcome, in its place."""
        self.check_may_act()
        with self._lock:
            self._occurrences.keep(effect)
        return Draft(effect.id, call, clock.now())

    def idempotency_key(self, draft: Draft) -> str:
        """Names this very effect to whoever does it: the same in every attempt, and for no other effect."""
        return f"{self._task_id}-{draft.call.key.hex()}-{self._occurrence_of(draft)}"

    def unknown(self, effect: Effect, error: Exception) -> Exception:
        """Nobody can say whether it was done. The attempt is stopped by this error; that it is unknown is written down at its end, for the
        person who finds out.
        """
        self._unknown.append(effect)
        return self.stop_by(error)

    def _check_may_go_on(self) -> None:
        if self.stopped_by is not None:
            raise self.stopped_by

    async def begun(self, draft: Draft, *, wait_seconds: float | None = None) -> Effect:
        """Write down that it has begun, before it is done: for what must never be done blindly twice, and for what is waited
        for, at most `wait_seconds`.
        """
        return await self._surviving.finish(
            self._in_order(draft, EffectStatus.STARTED, None, None, wait_seconds=wait_seconds)
        )

    async def spawn(self, draft: Draft, child: Child) -> Effect:
        """Write down that a child was called, and make it."""
        return await self._surviving.finish(self._spawned(draft, child))

    async def record(
        self, draft: Draft, result: bytes, usage: Usage | None = None, *, handed_on: bool = False
    ) -> Effect:
        """Commit what the call gave; answers with the effect that stands. Raises Superseded.

        `handed_on`: the agent has it already, as it has a stream that came bit by bit; then this is what stands.
        """
        return await self._surviving.finish(
            self._in_order(draft, EffectStatus.DONE, result, usage, handed_on=handed_on)
        )

    def failed(self, draft: Draft, error: object, result: bytes, *, undone: bytes | None = None) -> None:
        """The call failed, and the agent is handed `error`: an exception, or the response that an SDK makes one of.

        `result` says what a replay hands it. `undone` is given where it was begun in writing, and it is certain that it was
        not done: this is recorded then if the attempt ends by this error.
        """
        with self._lock:
            self._unsettled.add(HandedOn(draft, EffectStatus.FAILED, result, error, undone=undone))

    def retract(self, call: Call) -> Draft | None:
        """What the latest try of this call came to was never handed to the agent: whoever made it tries again. Answers which."""
        with self._lock:
            one = self._unsettled.take_back(call.key)
            if one is None:
                return None
            self._divergences.retracted(one.draft.differs)
            return one.draft

    def drawn(self, draft: Draft, value: bytes) -> None:
        """The agent is handed a value that another attempt could draw as well, and must not once something is made of it."""
        with self._lock:
            self._unsettled.add(HandedOn(draft, EffectStatus.DONE, value))

    def left_off(self, draft: Draft, part: bytes, usage: Usage) -> None:
        """The agent has read a part of the answer and left the rest; or it failed amid it, which only what comes next can tell."""
        with self._lock:
            self._unsettled.add(HandedOn(draft, EffectStatus.DONE, part, usage=usage))

    async def settle(self, ended_by: BaseException | None) -> None:
        """The attempt is over: record the failures that it survived, which is all but the one that ended it."""
        await self._surviving.all_finished()
        with self._lock:
            undone = self._unsettled.end(ended_by)
        await self._settle_waiting()
        for draft, result in undone:
            await self._write(draft, EffectStatus.FAILED, result, None)
        for effect in self._unknown:
            await self._writer.write(msgspec.structs.replace(effect, attempt=self.attempt, status=EffectStatus.UNKNOWN))

    @property
    def usage(self) -> Usage:
        """What the task has used, in all its attempts: every call that is in the journal was paid for once."""
        replayed = sum(effect.usage.llm_calls for effect in self.taken() if effect.usage is not None)
        return self._usage + Usage(replayed_calls=replayed)

    def is_emitted(self, event: bytes) -> bool:
        """Whether an earlier attempt has told the stream of this; if not, that this one does is noted with its next effect."""
        name = name_of_emit(event)
        with self._lock:
            if self._emitted[name] > 0:
                self._emitted[name] -= 1
                return True
            self._emits.append(name)
            return False

    def left(self) -> list[Effect]:
        """What earlier attempts recorded and this one has not asked for, in the order in which it was done."""
        with self._lock:
            return self._recorded.left()

    def count_of(self, kind: EffectKind) -> int:
        """How many effects of that kind the task has, in all its attempts."""
        with self._lock:
            return self._counts[kind]

    def taken(self) -> list[Effect]:
        """What this attempt was given instead of doing it."""
        with self._lock:
            return list(self._recorded.taken)

    def divergences(self) -> list[tuple[Call, Divergence]]:
        """The calls that were not found although something like them is still unused."""
        with self._lock:
            return self._divergences.proven({effect.id for effect in self._recorded.left()})

    async def _settle_waiting(self) -> None:
        """Commit them before what was made of them: one that comes alone would be found by nobody."""
        with self._lock:
            waiting = self._unsettled.take_all()
        writes = (self._write(one.draft, one.status, one.result, one.usage, handed_on=True) for one in waiting)
        await asyncio.gather(*writes)

    async def _in_order(self, *effect: Any, **options: Any) -> Effect:
        await self._settle_waiting()
        return await self._write(*effect, **options)

    async def _spawned(self, draft: Draft, child: Child) -> Effect:
        await self._settle_waiting()
        try:
            return await self._writer.spawn(self._place(draft, EffectStatus.STARTED, None, None), child)
        except Superseded as error:
            raise self.stop_by(error) from None

    async def _write(
        self,
        draft: Draft,
        status: EffectStatus,
        result: bytes | None,
        usage: Usage | None,
        *,
        handed_on: bool = False,
        wait_seconds: float | None = None,
    ) -> Effect:
        effect = self._place(draft, status, result, usage)
        try:
            stands = await self._writer.write(effect, handed_on=handed_on, wait_seconds=wait_seconds)
        except Superseded as error:
            raise self.stop_by(error) from None
        if stands.usage is not None:
            self._usage += stands.usage
        return stands

    def _occurrence_of(self, draft: Draft) -> int:
        """The lowest that is free for its key; what has been given one keeps it."""
        with self._lock:
            occurrence, is_new = self._occurrences.of(draft.id, draft.call.key)
            self._counts[draft.call.kind] += is_new
            return occurrence

    def _take_emits(self) -> bytes | None:
        with self._lock:
            emits, self._emits = self._emits, []
        return b"".join(emits) or None

    def _place(self, draft: Draft, status: EffectStatus, result: bytes | None, usage: Usage | None) -> Effect:
        call, occurrence = draft.call, self._occurrence_of(draft)
        return Effect(
            id=draft.id,
            task_id=self._task_id,
            key=call.key,
            occurrence=occurrence,
            attempt=self.attempt,
            kind=call.kind,
            name=call.name,
            status=status,
            started_at=draft.started_at,
            finished_at=None if result is None else clock.now(),
            digests=canonical_json(call.digests) if call.digests else None,
            emits=self._take_emits(),
            usage=usage,
            result=None if result is None else pack(result),
            scope=call.scope,
            differs=draft.differs,
            preview=draft.preview,
        )
