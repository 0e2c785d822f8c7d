"""LLM calls of an agent, through its journal: what `llm/capture` asks of a recorder."""

import asyncio
from functools import partial
from typing import Protocol

import msgspec

from dayshift.agents import waiting
from dayshift.agents.effects import Effects, scope
from dayshift.agents.errands import Errands
from dayshift.agents.tools import UnknownOutcome
from dayshift.agents.usage import CallMeter
from dayshift.agents.voices import CallNames, Voice
from dayshift.domain import clock
from dayshift.domain.effect import CallUsage, Effect, EffectKind
from dayshift.domain.errors import BudgetSpent, WrongUse
from dayshift.domain.events import LlmCallEnded
from dayshift.journal import Call, Draft, call_of_digest, unpack
from dayshift.llm.capture import Answer, answers
from dayshift.llm.exchange import Incoming, LlmCall, Outgoing, Reply, Send, SendHere
from dayshift.llm.prices import Prices
from dayshift.llm.request import Question
from dayshift.telemetry import emit

_NOTHING = CallUsage()
BUDGET_SIGNAL = "budget"  # what a person sends to a task that may go on beyond its budget; `false` says no


class Line(Protocol):
    """Makes the calls of one attempt."""

    async def answer(
        self, call: LlmCall, send: Send, broken: Reply | None = None, *, approved: bool = False
    ) -> Reply: ...


class StraightLine:
    """Sends each call once, as it is."""

    async def answer(
        self,
        call: LlmCall,
        send: Send,
        broken: Reply | None = None,
        *,
        approved: bool = False,
    ) -> Reply:
        """Whatever was broken or approved."""
        del call, broken, approved
        return Reply(await send(Outgoing()))


class LlmCalls:
    """The recorder of one attempt, of an agent of that name. `meter` counts the time that calls took, up to a stream's last event; `line` makes them."""

    def __init__(
        self, effects: Effects, meter: CallMeter, line: Line, prices: Prices, *, agent: str, voice: Voice
    ) -> None:
        self._effects = effects
        self._meter = meter
        self._line = line
        self._prices = prices
        self._agent = agent
        self._voice = voice
        self._names = CallNames()
        self._begun: dict[str, tuple[float, Question]] = {}
        self._waited_seconds: dict[int, float] = {}  # by the question's identity: two may be equal
        self._begun_once: set[str] = set()
        self._is_approved = False
        self._retracted: dict[bytes, Draft] = {}  # begun, and to be tried again

    async def take(self, question: Question) -> Answer | None:
        call = _call_of(question)
        while (found := await self._effects.take(call)) is not None:
            answer = self._answer_of(found)
            if not answer.is_undone:
                self._names.passed(call)
                return answer
        return None

    def take_here(self, question: Question) -> Answer | None:
        if self._effects.is_on_loop():
            raise self._effects.refused(
                f"{question.name}: a plain client was used on the event loop, where it would hold up all other tasks and cannot wait for "
                "its journal: use the async client, or call it by `await asyncio.to_thread(...)`"
            )
        call = _call_of(question)
        while (found := self._effects.take_here(call)) is not None:
            answer = self._answer_of(found)
            if not answer.is_undone:
                self._names.passed(call)
                return answer
        return None

    def _answer_of(self, found: Effect) -> Answer:
        if found.result is None:
            raise self._effects.journal.unknown(found, UnknownOutcome(_what_is_unknown(found)))
        return _answer_in(found)

    def begin(self, question: Question) -> Draft:
        return self._clocked(self._effects.journal.begin(_call_of(question)), question)

    async def begin_once(self, question: Question) -> Draft:
        draft, is_begun = self._once(question)
        if not is_begun:
            await self._effects.written(self._effects.journal.begun(draft))
        return self._clocked(draft, question)

    def begin_once_here(self, question: Question) -> Draft:
        draft, is_begun = self._once(question)
        if not is_begun:
            self._effects.wait_for(self._effects.journal.begun(draft))
        return self._clocked(draft, question)

    async def send(self, call: LlmCall, send: Send, broken: Reply | None = None) -> Reply:
        try:
            return self._waited(call, await self._sent(call, send, broken))
        except BudgetSpent as spent:
            if spent.on_breach != "approval" or await waiting.wait_for(self._effects, BUDGET_SIGNAL, None) is False:
                raise self._effects.stopped_by(spent) from None
            self._is_approved = True
            return self._waited(call, await self._sent(call, send, broken))
        except WrongUse as wrong:
            raise self._effects.stopped_by(wrong) from None

    async def _sent(self, call: LlmCall, send: Send, broken: Reply | None) -> Reply:
        approved = self._is_approved
        if self._effects.is_on_loop():
            return await self._line.answer(call, send, broken, approved=approved)
        loop = asyncio.get_running_loop()  # of a thread of the agent's own, to which its client belongs

        async def send_there(outgoing: Outgoing) -> Incoming:
            sending = asyncio.run_coroutine_threadsafe(_coroutine(send, outgoing), loop)
            return await asyncio.wrap_future(sending)

        return await self._effects.written(self._line.answer(call, send_there, broken, approved=approved))

    def send_here(self, call: LlmCall, send: SendHere, broken: Reply | None = None) -> Reply:
        try:
            return self._waited(call, self._sent_here(call, send, broken))
        except BudgetSpent as spent:
            if spent.on_breach != "approval" or waiting.wait_for(self._effects, BUDGET_SIGNAL, None) is False:
                raise self._effects.stopped_by(spent) from None
            self._is_approved = True
            return self._waited(call, self._sent_here(call, send, broken))
        except WrongUse as wrong:
            raise self._effects.stopped_by(wrong) from None

    def _sent_here(self, call: LlmCall, send: SendHere, broken: Reply | None) -> Reply:
        errands = Errands()

        async def send_there(outgoing: Outgoing) -> Incoming:
            return await errands.run(partial(send, outgoing))

        answering = self._line.answer(call, send_there, broken, approved=self._is_approved)
        return self._effects.wait_for(answering, errands)

    def _waited(self, call: LlmCall, reply: Reply) -> Reply:
        if reply.waited_seconds:
            self._waited_seconds[id(call.question)] = reply.waited_seconds
        return reply

    async def record(self, draft: Draft, answer: Answer, usage: CallUsage) -> Answer:
        paid = self._ended(draft, usage)
        return _standing(draft, answer, await self._effects.written(self._record(draft, answer, paid)))

    def record_here(self, draft: Draft, answer: Answer, usage: CallUsage) -> Answer:
        paid = self._ended(draft, usage)
        return _standing(draft, answer, self._effects.wait_for(self._record(draft, answer, paid)))

    async def _record(self, draft: Draft, answer: Answer, paid: CallUsage) -> Effect:
        kept, journal = answers.encode(answer), self._effects.journal
        return await journal.record(draft, kept, paid, handed_on=answer.is_stream)

    def said(self, draft: Draft, text: str) -> None:
        name, is_new = self._names.of(draft)
        if is_new and self._effects.journal.attempt > 1:
            self._voice.restarted(name)  # an earlier attempt may have come as far as this
        self._voice.delta(name, text)

    def began_anew(self, draft: Draft) -> None:
        name, _ = self._names.of(draft)
        self._voice.restarted(name)

    def left(self, draft: Draft, answer: Answer, usage: CallUsage) -> None:
        paid = self._ended(draft, usage, "left")
        self._effects.journal.left_off(draft, answers.encode(answer), paid)

    def failed(self, draft: Draft, answer: Answer, response: object) -> None:
        self._ended(draft, _NOTHING, _outcome_of(answer))
        is_refused = draft.id in self._begun_once and 400 <= answer.status < 500
        undone = answers.encode(msgspec.structs.replace(answer, is_undone=True)) if is_refused else None
        self._effects.journal.failed(draft, response, answers.encode(answer), undone=undone)

    def retract(self, question: Question) -> None:
        draft = self._effects.journal.retract(_call_of(question))
        if draft is not None:
            self._names.retracted(draft)
        if draft is not None and question.adds_there:
            self._retracted[draft.call.key] = draft

    def _once(self, question: Question) -> tuple[Draft, bool]:
        """A beginning to write down; or the one of the try before, which is written down."""
        call = _call_of(question)
        retracted = self._retracted.pop(call.key, None)
        draft = retracted or self._effects.journal.begin(call)
        self._begun_once.add(draft.id)
        return draft, retracted is not None

    def _clocked(self, draft: Draft, question: Question) -> Draft:
        self._begun[draft.id] = clock.monotonic_seconds(), question
        self._prices.warm()
        return draft

    def _ended(self, draft: Draft, usage: CallUsage, outcome: str = "ok") -> CallUsage:
        """The call is over: count it, and say what it cost."""
        (begun_mono, question), ended_mono = self._begun.pop(draft.id), clock.monotonic_seconds()
        sent_mono = begun_mono + self._waited_seconds.pop(id(question), 0.0)
        if sent_mono > begun_mono:
            self._meter.add_wait(begun_mono, sent_mono)
        self._meter.add(sent_mono, ended_mono)
        paid = self._prices.priced(usage, asked=question.model) if usage.llm_calls else usage
        emit(
            LlmCallEnded(
                provider=paid.provider or question.provider,
                model=paid.model or question.model,
                agent=self._agent,
                outcome=outcome,
                duration_seconds=ended_mono - sent_mono,
                input_tokens=paid.input_tokens,
                cached_tokens=paid.cached_tokens,
                output_tokens=paid.output_tokens,
                reasoning_tokens=paid.reasoning_tokens,
                cost_usd=paid.cost_usd,
                is_unpriced=paid.unpriced_calls > 0,
            )
        )
        return paid


def _outcome_of(answer: Answer) -> str:
    if answer.status == 429:
        return "limited"
    return "refused" if 400 <= answer.status < 500 else "failed"


async def _coroutine(send: Send, outgoing: Outgoing) -> Incoming:
    return await send(outgoing)


def _what_is_unknown(found: Effect) -> str:
    return (
        f"{found.name} was sent to a conversation that the provider keeps, in attempt {found.attempt}, and its outcome is unknown (effect "
        f"{found.id}): look into that conversation, settle it with POST /v1/tasks/ID/effects/EID/resolve (`result` is the "
        "response as JSON), then retry the task"
    )


def _call_of(question: Question) -> Call:
    return call_of_digest(
        EffectKind.LLM,
        question.name,
        question.digest,
        scope=scope.get(),
        digests=question.digests,
        asked=question.asked,
    )


def _standing(draft: Draft, answer: Answer, effect: Effect) -> Answer:
    """What was recorded now, or what another attempt had recorded before."""
    return answer if effect.id == draft.id else _answer_in(effect)


def _answer_in(effect: Effect) -> Answer:
    assert effect.result is not None, "an LLM call is recorded with its answer"
    return answers.decode(unpack(effect.result))
