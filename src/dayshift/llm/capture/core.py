"""What is done with a call, whatever library it comes through.

    take(question) ── found ──▶ the kept answer
        └── None ──▶ begin ──send──▶ whole answer: record, and hand on what stands
                                ├──▶ stream: hand on event by event; before the last one, record
                                └──▶ failure: hand it on; it is recorded once the agent has gone on

**A stream** is passed on as it comes, since somebody may be reading it live. Its last event is held back until the commit: a
reader that has seen the end may act on it, and by then the answer must be safe. A stream that breaks is not recorded. One that
its reader leaves is recorded as far as it was read, once something is made of that (see streams.py).

**Retries by an SDK are one effect.** An SDK that tries again says so in a header. What the try before came to was handed to
the SDK and not to the agent, so it is taken back.

**A call that adds to a conversation which the provider keeps** is written down as begun before it is made (`begin_once`): made again
after a crash it might add twice, so then its outcome is unknown, as that of a tool that is not idempotent.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from dayshift.domain.effect import CallUsage
from dayshift.llm.capture.answers import Answer
from dayshift.llm.exchange import LlmCall, Reply, Send, SendHere
from dayshift.llm.formats import Event, Format
from dayshift.llm.request import Question

RETRY_HEADER = "x-stainless-retry-count"


class Recorder(Protocol):
    """The journal of the task that runs, as far as calls need it. `here` stands for the thread of plain code."""

    async def take(self, question: Question) -> Answer | None: ...

    def take_here(self, question: Question) -> Answer | None: ...

    def begin(self, question: Question) -> Any: ...

    async def send(self, call: LlmCall, send: Send, broken: Reply | None = None) -> Reply:
        """Have the call made, by whichever target, as often as it takes; instead of a stream that was broken off. Raises NoAnswer."""

    def send_here(self, call: LlmCall, send: SendHere, broken: Reply | None = None) -> Reply: ...

    async def begin_once(self, question: Question) -> Any: ...

    def begin_once_here(self, question: Question) -> Any: ...

    async def record(self, draft: Any, answer: Answer, usage: CallUsage) -> Answer: ...

    def record_here(self, draft: Any, answer: Answer, usage: CallUsage) -> Answer: ...

    def said(self, draft: Any, text: str) -> None:
        """A stream has brought this text, and its reader has it."""

    def began_anew(self, draft: Any) -> None:
        """A stream that was broken off begins anew."""

    def left(self, draft: Any, answer: Answer, usage: CallUsage) -> None: ...

    def failed(self, draft: Any, answer: Answer, response: object) -> None: ...

    def retract(self, question: Question) -> None: ...


_recorder: ContextVar[Recorder | None] = ContextVar("dayshift_recorder", default=None)


def record_calls_with(recorder: Recorder) -> None:
    """From here on, LLM calls made below are recorded by it."""
    _recorder.set(recorder)


def current_recorder() -> Recorder | None:
    """Of the task that runs here; None outside of tasks."""
    return _recorder.get()


_is_captured: ContextVar[bool] = ContextVar("dayshift_call_is_captured", default=False)


@contextmanager
def sending() -> Iterator[None]:
    """A captured call is on its way below us, whatever libraries its transport may use."""
    token = _is_captured.set(True)
    try:
        yield
    finally:
        _is_captured.reset(token)


def is_captured() -> bool:
    """Whether what is sent here belongs to a call that is captured."""
    return _is_captured.get()


def is_retry(headers: Mapping[str, str]) -> bool:
    """Whether an SDK says that it tries again."""
    return headers.get(RETRY_HEADER, "0") not in {"", "0"}


class Reading:
    """A stream on its way through us: what has come of it so far."""

    def __init__(self, api: Format, status: int, headers: list[tuple[str, str]]) -> None:
        self._api = api
        self._status = status
        self._headers = headers
        self._events: list[Event] = []
        self.is_over = False

    def is_last(self, event: Event) -> bool:
        """Take note of an event; whether it is the one to hold back."""
        self._events.append(event)
        return not self.is_over and self._api.is_last(event)

    def answer(self, *, is_cut: bool = False) -> Answer:
        """What has come, as it is kept."""
        body = b"".join(event.raw for event in self._events)
        return Answer(status=self._status, headers=self._headers, body=body, is_stream=True, is_cut=is_cut)

    @property
    def has_failed(self) -> bool:
        """Whether its latest event says why there will be no answer."""
        return bool(self._events) and self._api.complains(self._events[-1])

    @property
    def has_begun(self) -> bool:
        return bool(self._events)

    @property
    def usage(self) -> CallUsage:
        return self._api.usage_of_events(self._events)
