"""What an agent can reach while it runs: its task's facts, its live stream, and the official SDKs."""

from collections.abc import Awaitable, Callable, Generator
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from dayshift.agents import sdk, waiting
from dayshift.agents.conversation import Conversation, LocalHistory
from dayshift.agents.drawing import draw_flag, draw_now, draw_random, draw_uuid
from dayshift.agents.effects import Effects, journal_with
from dayshift.agents.gathering import gather
from dayshift.agents.llm_calls import Line, LlmCalls, StraightLine
from dayshift.agents.steps import Options
from dayshift.agents.usage import CallMeter
from dayshift.agents.values import Unencodable, encode_value
from dayshift.agents.voices import Silent, Voice
from dayshift.domain import clock
from dayshift.domain.errors import WrongUse
from dayshift.journal import AttemptJournal
from dayshift.llm.capture import record_calls_with
from dayshift.llm.prices import Prices

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from httpx2 import AsyncClient
    from openai import AsyncOpenAI

EMIT_LIMIT_BYTES = 65_536
EMIT_NAME_LIMIT = 100
RESERVED_FIELDS = frozenset({"task_id", "attempt", "at", "name"})


EmitSink = Callable[[bytes], Awaitable[None]]
"""Takes one event as a JSON object (`name` and the author's fields), from any thread; done when it was sent."""


ReadFlag = Callable[[str], Any]
"""What a feature flag is for this task now; UNSET where nothing is said."""


def _no_flag(_name: str) -> Any:
    return UNSET


class _Nothing:
    """An awaitable that is done, and that nobody needs to await."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield  # makes this a generator, which is what `await` asks for


NOTHING = _Nothing()


def _drop(_event: bytes) -> Awaitable[None]:
    return NOTHING


class Context(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The running task, as its agent sees it. `deadline` is when this attempt must have ended."""

    task_id: str
    agent: str
    tenant: str
    user: str | None
    attempt: int
    deadline: datetime
    conversation: Conversation | None
    metadata: dict[str, Any]
    _deadline_mono: float
    _sink: EmitSink
    _meter: CallMeter
    _effects: Effects
    _flags: ReadFlag = _no_flag
    _line: Line = StraightLine()
    _prices: Prices = Prices()
    _voice: Voice = Silent()

    @classmethod
    def local(cls, agent: str = "local", *, timeout: float = 300, conversation: str | None = None) -> "Context":
        """A context for calling an agent by hand, in a notebook or a test: what it emits goes nowhere, and what it does is
        forgotten. With the name of a conversation it has an empty one, in memory.
        """
        history = LocalHistory()
        effects = Effects(AttemptJournal.forgetful(history), loop=None)
        return cls(
            task_id="local",
            agent=agent,
            tenant="local",
            user=None,
            attempt=1,
            deadline=clock.now() + timedelta(seconds=timeout),
            conversation=None if conversation is None else Conversation(conversation, effects, history.read),
            metadata={},
            _deadline_mono=clock.monotonic_seconds() + timeout,
            _sink=_drop,
            _meter=CallMeter(),
            _effects=effects,
        )

    def __repr__(self) -> str:
        return f"<Context of {self.task_id}, agent {self.agent!r}, attempt {self.attempt}>"

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline, by a clock that is never set back; 0 when it has passed."""
        return max(0.0, self._deadline_mono - clock.monotonic_seconds())

    def emit(self, name: str, /, **fields: Any) -> Awaitable[None]:
        """Send an event to the task's live stream. Await it in async code; a plain function need not.

        The event is on its way when this returns. Streams are live, not durable: while Valkey is away it is lost. What an
        earlier attempt has sent before something that is in the journal is not sent again.
        """
        event = _encode_event(name, fields)
        return NOTHING if self._effects.journal.is_emitted(event) else self._sink(event)

    def step(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function, async or plain, and journal its result: a later attempt is given it, and does not call again.

        Await it in async code; a plain agent gets the result itself. The result goes through JSON, and is of the type that
        the function's hint names. Raises what the function raises, also when it is replayed; `Fatal` when the result
        cannot be recorded.
        """
        return Options(self._effects).step(function, *args, **kwargs)

    def with_options(self, *, retries: int = 0, timeout: float | None = None) -> Options:
        """`ctx.with_options(retries=3, timeout=10).step(function, ...)`: how often a step that failed is tried again within
        this attempt, and how many seconds one try of it may take. `Fatal` is not tried again.
        """
        return Options(self._effects, retries, timeout)

    async def gather(self, *branches: Awaitable[Any], return_exceptions: bool = False) -> list[Any]:
        """Await several things at once; their results in order. The first error is raised, and ends the others; or, if exceptions
        are to be returned, they stand among the results.
        """
        return await gather(*branches, return_exceptions=return_exceptions)

    def flag(self, name: str, default: Any = None) -> Any:
        """What the setting `flags.NAME`, or the tenant's own, says for this task; else `default`. Any JSON value.

        It is read when it is asked for, and a later attempt is given the same: a flag that is switched meanwhile cannot send
        it another way than the one that it has gone.
        """
        try:
            return draw_flag(self._effects, name, lambda: default if (value := self._flags(name)) is UNSET else value)
        except Unencodable as error:
            raise WrongUse(f"ctx.flag({name!r}): its default is no JSON value: {error}") from None

    def now(self) -> datetime:
        """The time, aware and in UTC; a later attempt is given the same."""
        return draw_now(self._effects)

    def random(self) -> float:
        """A number from 0 up to 1; a later attempt is given the same."""
        return draw_random(self._effects)

    def uuid(self) -> UUID:
        """A random UUID; a later attempt is given the same."""
        return draw_uuid(self._effects)

    def sleep(self, seconds: float) -> Any:
        """Wait so many seconds. From a second on the wait is in the journal, and may be without a worker.

        Await it in async code, like `wait_for` and `call`; a plain agent just calls them.
        """
        return waiting.sleep(self._effects, seconds)

    def wait_for(self, name: str, timeout: float | None = None) -> Any:
        """Wait for a signal of that name, `POST /v1/tasks/ID/signals/NAME`, sent before or after; gives its payload.

        Raises `TimeoutError` when none came within `timeout` seconds. While nothing else goes on the task is parked: it holds
        no slot and no memory.
        """
        return waiting.wait_for(self._effects, name, timeout)

    def call(self, agent: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run another agent as a task of its own, and give its output. It has this task's tenant, user and priority.

        Raises `ChildFailed` when it failed or was cancelled; cancelling this task cancels it too.
        """
        if self._effects.is_local:
            return waiting.call_by_hand(self, agent, args, kwargs)
        return waiting.call(self._effects, agent, args, kwargs)

    def openai(self) -> "AsyncOpenAI":
        """The official OpenAI client, made from the environment (`OPENAI_API_KEY`, `OPENAI_BASE_URL`)."""
        return sdk.openai(self.task_id)

    def anthropic(self) -> "AsyncAnthropic":
        """The official Anthropic client, made from the environment (`ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`)."""
        return sdk.anthropic(self.task_id)

    def http(self) -> "AsyncClient":
        """An `httpx2.AsyncClient`, for a provider's API that you call without its SDK. The calls that the journal knows of
        an SDK are journaled through this client as well; every other request passes as it is.
        """
        return sdk.http(self.task_id)


_current: ContextVar[Context] = ContextVar("dayshift_context")


def current() -> Context:
    """The context of the running task, anywhere below its agent."""
    context = _current.get(None)
    if context is None:
        raise WrongUse("dayshift.current(): no task runs here; call it below an agent that dayshift started")
    return context


def bind(context: Context) -> None:
    """Make `context` the current one for the rest of this asyncio task (or of this copy of the contextvars)."""
    _current.set(context)
    journal_with(context._effects)  # noqa: SLF001 - private to authors, not to this file
    calls = LlmCalls(
        context._effects,  # noqa: SLF001 - likewise
        context._meter,  # noqa: SLF001 - likewise
        context._line,  # noqa: SLF001 - likewise
        context._prices,  # noqa: SLF001 - likewise
        agent=context.agent,
        voice=context._voice,  # noqa: SLF001 - likewise
    )
    record_calls_with(calls)


def _encode_event(name: str, fields: dict[str, Any]) -> bytes:
    if not isinstance(name, str) or not 0 < len(name) <= EMIT_NAME_LIMIT:
        raise WrongUse(f"ctx.emit: the event's name must be text of 1-{EMIT_NAME_LIMIT} characters")
    reserved = RESERVED_FIELDS.intersection(fields)
    if reserved:
        raise WrongUse(f"ctx.emit({name!r}): dayshift fills in {', '.join(sorted(reserved))}; rename your field")
    try:
        encoded = encode_value({"name": name, **fields})
    except Unencodable as error:
        raise WrongUse(f"ctx.emit({name!r}): {error}") from None
    if len(encoded) > EMIT_LIMIT_BYTES:
        size = len(encoded)
        raise WrongUse(f"ctx.emit({name!r}): {size} bytes are above {EMIT_LIMIT_BYTES}; store it and emit its address")
    return encoded
