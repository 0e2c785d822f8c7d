"""A recorder in memory: the journal of one task, attempt after attempt, as `capture` sees it."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from dayshift.domain.task import Usage
from dayshift.llm.capture import Address, Addresses, Answer, core, record_calls_with
from dayshift.llm.capture.httpx import install
from dayshift.llm.exchange import LlmCall, Outgoing, Reply, Send, SendHere
from dayshift.llm.formats import ANTHROPIC, OPENAI
from dayshift.llm.request import Question

ADDRESSES = Addresses(
    [
        Address.of("openai", "https://api.openai.com/v1", OPENAI),
        Address.of("anthropic", "https://api.anthropic.com", ANTHROPIC),
        Address.of("openai", "http://127.0.0.1:8099/v1", OPENAI),
    ]
)


class Tape:
    """`rewind` begins another attempt: what was recorded is found again, once for each."""

    def __init__(self) -> None:
        self.kept: dict[bytes, list[Answer]] = defaultdict(list)
        self.usages: list[Usage] = []
        self.asked: list[Question] = []
        self.failures: list[tuple[bytes, Answer, object]] = []
        self.after: list[str] = []
        self.said_texts: list[str] = []
        self._used: dict[bytes, int] = defaultdict(int)

    def rewind(self) -> None:
        self._used.clear()
        self.asked.clear()

    async def take(self, question: Question) -> Answer | None:
        return self.take_here(question)

    def take_here(self, question: Question) -> Answer | None:
        at = self._used[question.digest]
        if at < len(self.kept[question.digest]):
            self._used[question.digest] += 1
            return self.kept[question.digest][at]
        return None

    def begin(self, question: Question) -> Question:
        self.asked.append(question)
        return question

    async def begin_once(self, question: Question) -> Question:
        self.after.append("begun")
        return self.begin(question)

    def begin_once_here(self, question: Question) -> Question:
        self.after.append("begun")
        return self.begin(question)

    async def send(self, call: LlmCall, send: Send, broken: Reply | None = None) -> Reply:
        return Reply(await send(Outgoing()))

    def send_here(self, call: LlmCall, send: SendHere, broken: Reply | None = None) -> Reply:
        return Reply(send(Outgoing()))

    async def record(self, draft: Question, answer: Answer, usage: Usage) -> Answer:
        return self.record_here(draft, answer, usage)

    def record_here(self, draft: Question, answer: Answer, usage: Usage) -> Answer:
        self.after.append("recorded")
        self.kept[draft.digest].append(answer)
        self._used[draft.digest] += 1
        self.usages.append(usage)
        return answer

    def said(self, draft: Question, text: str) -> None:
        self.said_texts.append(text)

    def began_anew(self, draft: Question) -> None:
        self.said_texts.append("anew")

    def left(self, draft: Question, answer: Answer, usage: Usage) -> None:
        self.record_here(draft, answer, usage)
        self.after.append("left")

    def failed(self, draft: Question, answer: Answer, response: object) -> None:
        self.failures.append((draft.digest, answer, response))

    def retract(self, question: Question) -> None:
        for failure in reversed(self.failures):
            if failure[0] == question.digest:
                self.failures.remove(failure)
                return


@contextmanager
def recording(tape: Tape, *libraries: ModuleType) -> Iterator[None]:
    """Capture what these libraries send, on this tape."""
    undoings: list[Any] = [install(library, lambda: ADDRESSES) for library in libraries]
    token = core._recorder.set(tape)
    try:
        yield
    finally:
        core._recorder.reset(token)
        for undo in undoings:
            undo()


__all__ = ["ADDRESSES", "Tape", "record_calls_with", "recording"]
