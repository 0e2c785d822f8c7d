"""One exchange with a provider, as the HTTP libraries carry it and the pipeline sees it: what is sent, what comes back."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from dayshift.domain.effect import CallUsage
from dayshift.llm.formats import Event, EventSplitter, Format
from dayshift.llm.request import Question
from dayshift.llm.verdicts import BROKEN_OFF, CONTENT_TYPE, Verdict, is_stream, verdict_of, verdict_of_event

Headers: TypeAlias = list[tuple[str, str]]


class LlmCall(Struct, frozen=True, kw_only=True):
    """What an agent's client is about to send, and to which provider."""

    provider: str
    api: Format
    question: Question
    url: str
    headers: Mapping[str, str]
    body: bytes


class Patience(Struct, frozen=True, kw_only=True):
    """Seconds: for a connection, for a stream's first token, between its tokens, and for all of an answer."""

    connect_seconds: float
    first_token_seconds: float
    idle_seconds: float
    total_seconds: float


class Outgoing(Struct, frozen=True, kw_only=True):
    """One try. None leaves what the client had said; a header of None is taken out."""

    url: str | None = None
    headers: Mapping[str, str | None] = {}
    body: bytes | None = None
    patience: Patience | None = None


class Opening:
    """The beginning of a stream: the events up to the first that says something, which nobody has seen yet. `verdict` judges it;
    None: it has said nothing.
    """

    def __init__(self, api: Format) -> None:
        self._api = api
        self.splitter = EventSplitter()
        self.events: list[Event] = []
        self.verdict: Verdict | None = None

    def feed(self, received: bytes) -> bool:
        """Take what has come; whether the stream has begun to say something."""
        for event in self.splitter.feed(received):
            self.events.append(event)
            self.verdict = self.verdict or verdict_of_event(self._api, event)
        return self.verdict is not None

    @property
    def is_good(self) -> bool:
        """Whether it has begun to say what was asked for."""
        return self.verdict is not None and self.verdict.kind == "ok"


class Incoming(Struct, kw_only=True):
    """What came back: a whole `body`, or an `opening` and the `rest`, to be read from the library's response. `is_over`: there is no
    rest.
    """

    status: int
    headers: Headers
    body: bytes = b""
    opening: Opening | None = None
    response: Any = None
    rest: Any = None
    is_over: bool = False
    _usage: CallUsage | None = None

    def usage(self, api: Format) -> CallUsage:
        """What a whole answer says that it used."""
        if self._usage is None:
            self._usage = api.usage_of(self.body)
        return self._usage

    def verdict(self, api: Format) -> Verdict:
        """What it means: a whole answer, or a stream as far as nobody has seen it."""
        headers = {name.lower(): value for name, value in self.headers}
        if self.opening is None:
            return verdict_of(api, self.status, headers, self.body)
        if not is_stream(self.status, headers):
            return CONTENT_TYPE
        return self.opening.verdict or BROKEN_OFF


class NoAnswer(Exception):
    """There was none: the library's error, by its class and its words."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.error = error


Send: TypeAlias = Callable[[Outgoing], Awaitable[Incoming]]
SendHere: TypeAlias = Callable[[Outgoing], Incoming]


class Reply:
    """What a call is answered with, and what its maker tells of a stream's end. Used from whichever thread reads it."""

    def __init__(
        self,
        incoming: Incoming,
        *,
        price: Callable[[CallUsage], CallUsage] | None = None,
        settle: Callable[[CallUsage | None, bool], None] | None = None,
        patience: Patience | None = None,
        waited_seconds: float = 0.0,
        may_restart: bool = False,
        broken_at: tuple[str, ...] = (),
        is_kept: bool = False,
    ) -> None:
        """`is_kept`: it comes out of the cache. `may_restart`: if its stream is broken off, the call should be made once more; `broken_at`: the targets that have done so."""
        self.is_kept = is_kept
        self.may_restart = may_restart
        self.broken_at = broken_at
        self.incoming = incoming
        self.patience = patience
        self.waited_seconds = waited_seconds
        self._price = price or (lambda usage: usage)
        self._settle = settle or _nothing
        self._on_settled: Callable[[Reply], None] | None = None
        self._on_whole: Callable[[Headers, bytes], None] | None = None

    def when_settled(self, call: "Callable[[Reply], None]") -> None:
        """Call back when the stream has ended, however."""
        self._on_settled = call

    def when_whole(self, call: Callable[[Headers, bytes], None]) -> None:
        """Call back with a stream's headers and all its events, if it comes to its end."""
        self._on_whole = call

    def whole(self, headers: Headers, events: bytes) -> None:
        """The stream has come to its end."""
        if self._on_whole is not None:
            self._on_whole(headers, events)

    def priced(self, usage: CallUsage) -> CallUsage:
        """The usage with what it costs."""
        return self._price(usage)

    def ended(self, usage: CallUsage | None) -> None:
        """The stream came to its end, or its reader left; None: it does not say what was used."""
        self._settle_once(usage, False)

    def broke_off(self, usage: CallUsage | None) -> None:
        """The provider broke the stream off."""
        self._settle_once(usage, True)

    def _settle_once(self, usage: CallUsage | None, is_broken: bool) -> None:
        settle, self._settle = self._settle, _nothing
        settle(usage, is_broken)
        if self._on_settled is not None:
            self._on_settled(self)


def _nothing(_usage: CallUsage | None, _is_broken: bool) -> None:
    return
