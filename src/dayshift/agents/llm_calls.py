"""LLM calls of an agent, through its journal: what `llm/capture` asks of a recorder."""

import msgspec

from dayshift.agents.effects import Effects, scope
from dayshift.agents.usage import CallMeter
from dayshift.domain import clock
from dayshift.domain.effect import Effect, EffectKind
from dayshift.domain.task import Usage
from dayshift.journal import Call, Draft, call_of, unpack
from dayshift.llm.capture import Answer, answers
from dayshift.llm.request import Question


class LlmCalls:
    """The recorder of one attempt. `meter` counts the time that calls took, up to a stream's last event."""

    def __init__(self, effects: Effects, meter: CallMeter) -> None:
        self._effects = effects
        self._meter = meter
        self._begun_mono: dict[str, float] = {}

    async def take(self, question: Question) -> Answer | None:
        found = await self._effects.take(_call_of(question))
        return None if found is None else _answer_in(found)

    def take_here(self, question: Question) -> Answer | None:
        found = self._effects.take_here(_call_of(question))
        return None if found is None else _answer_in(found)

    def begin(self, question: Question) -> Draft:
        draft = self._effects.journal.begin(_call_of(question))
        self._begun_mono[draft.id] = clock.monotonic_seconds()
        return draft

    async def record(self, draft: Draft, answer: Answer, usage: Usage) -> Answer:
        self._count(draft)
        return _answer_in(await self._effects.written(self._record(draft, answer, usage)))

    def record_here(self, draft: Draft, answer: Answer, usage: Usage) -> Answer:
        self._count(draft)
        return _answer_in(self._effects.wait_for(self._record(draft, answer, usage)))

    async def _record(self, draft: Draft, answer: Answer, usage: Usage) -> Effect:
        kept, journal = answers.encode(answer), self._effects.journal
        return await journal.record(draft, kept, _unpriced(usage), handed_on=answer.is_stream)

    def failed(self, draft: Draft, answer: Answer, response: object) -> None:
        self._count(draft)
        self._effects.journal.failed(draft, response, answers.encode(answer))

    def retract(self, question: Question) -> None:
        self._effects.journal.retract(_call_of(question))

    def _count(self, draft: Draft) -> None:
        self._meter.add(self._begun_mono.pop(draft.id), clock.monotonic_seconds())


def _unpriced(usage: Usage) -> Usage:
    return msgspec.structs.replace(usage, unpriced_calls=usage.llm_calls)


def _call_of(question: Question) -> Call:
    return call_of(EffectKind.LLM, question.name, question.content, scope=scope.get(), parts=question.parts)


def _answer_in(effect: Effect) -> Answer:
    assert effect.result is not None, "an LLM call is recorded with its answer"
    return answers.decode(unpack(effect.result))
