"""`@tool`: a function with an effect on the world, journaled under its name and its arguments.

An idempotent tool may be done again, so it is recorded with its outcome. One that is not is first written down as *started*:

    (nothing) ──started──▶ done: a later attempt is given that
                   └─ the attempt died, or the tool raised: nobody knows whether it was done
                          unknown="fail"     the task becomes a dead letter that names the tool; a person settles it
                          unknown="retry"    it is done again, with the same idempotency key
                          unknown=checker    the checker is asked with the same arguments: it answers what the tool gave,
                                             or raises NotPerformed, and then it is done again

What a tool raises is handed to the agent. If the agent goes on, the failure is recorded and raised again in a replay. If it
ended the attempt, the outcome is unknown: a tool that raised may have done its work before.

A tool that has a parameter `idempotency_key` is given one that stays the same in every attempt, if its caller gave none.
Outside of a task a tool is the function that it was.

`timeout` and `retries` are of one call within an attempt (see `trying`), the breaker is of the tool (see `breaking`). Before a
tool is begun its breaker is asked: one that was not called has no unknown outcome. A tool that took too long has one, if the
attempt ends with that.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from dayshift.agents.breaking import Breaker, ToolBreaker, ToolUnavailable
from dayshift.agents.calling import Calling, calling
from dayshift.agents.effects import Effects, current_effects, result_of
from dayshift.agents.errors import Fatal
from dayshift.agents.failures import encode_failure
from dayshift.agents.trying import Tries, check_options
from dayshift.domain.breaker import Admission
from dayshift.domain.effect import Effect, EffectKind, EffectStatus
from dayshift.domain.errors import WrongUse
from dayshift.journal import Draft

_KNOWN = frozenset({EffectStatus.DONE, EffectStatus.FAILED})
KEY_PARAMETER = "idempotency_key"
_USUAL_BREAKER = Breaker()
_NOT_GIVEN = object()
Function = TypeVar("Function", bound=Callable[..., Any])
Policy = Literal["fail", "retry"] | Callable[..., Any]


class NotPerformed(Exception):
    """A checker says: it was not done."""


class UnknownOutcome(Fatal):
    """A tool that must not run twice was begun, and nobody knows how it ended."""

    code = "unknown_outcome"


class Tool(Struct, frozen=True):
    """What `@tool` was told about a function."""

    function: Callable[..., Any]
    name: str
    idempotent: bool
    unknown: Policy
    takes_key: bool
    tries: Tries


def tool(
    _function: object = _NOT_GIVEN,
    /,
    *,
    idempotent: bool | None = None,
    name: str | None = None,
    unknown: Policy = "fail",
    timeout: float | None = None,
    retries: int = 0,
    breaker: Breaker | None = _USUAL_BREAKER,
) -> Callable[[Function], Function]:
    """Make a tool of a function, async or plain.

    `idempotent` must be said: whether doing it twice is as good as doing it once. `unknown` is what happens to one that is
    not, when an attempt died amid it: `"fail"`, `"retry"`, or a function that finds out (see above). `timeout` bounds one
    try of an async tool, in seconds; `retries` says how often one that failed is tried again within the attempt, if it may be;
    `breaker` says when it is left alone for a while (`Breaker()`; None: never).
    """
    if _function is not _NOT_GIVEN or not isinstance(idempotent, bool):
        raise WrongUse(
            f"@tool{'' if idempotent is None else f'(idempotent={idempotent!r})'}: say whether doing it twice is as good as doing it once: "
            "@tool(idempotent=True), or @tool(idempotent=False) for what must never be repeated blindly"
        )
    if unknown not in ("fail", "retry") and not callable(unknown):
        raise WrongUse(f"@tool(unknown={unknown!r}): say 'fail' or 'retry', or name a function that finds out")

    def declare(function: Function) -> Function:
        if not inspect.isfunction(function):
            raise WrongUse(f"@tool on {function!r}: it marks functions only")
        called = name or function.__qualname__
        check_options(f"@tool on {called}", function, retries, timeout)
        if retries and not idempotent and unknown != "retry":
            raise WrongUse(
                f"@tool on {called}: retries= is for tools that may be done again; say unknown='retry' if it may"
            )
        declared = Tool(
            function=function,
            name=called,
            idempotent=idempotent,
            unknown=unknown,
            takes_key=KEY_PARAMETER in inspect.signature(function).parameters,
            tries=Tries(f"tool {called}", retries, timeout, None if breaker is None else ToolBreaker(called, breaker)),
        )
        return _wrapped(declared)  # type: ignore[return-value] # it has the function's own signature

    return declare


def _wrapped(declared: Tool) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(declared.function):

        @functools.wraps(declared.function)
        async def call_async(*arguments: Any, **named: Any) -> Any:
            effects = current_effects()
            if effects is None:
                return await declared.function(*arguments, **named)
            return await _Use(declared, effects, arguments, named).perform()

        return call_async

    @functools.wraps(declared.function)
    def call_plain(*arguments: Any, **named: Any) -> Any:
        effects = current_effects()
        if effects is None:
            return declared.function(*arguments, **named)
        return _Use(declared, effects, arguments, named).perform_plain()

    return call_plain


class _Use:
    """One call of a tool within a task."""

    def __init__(self, declared: Tool, effects: Effects, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._declared = declared
        self._effects = effects
        self._arguments = arguments
        self._named = named
        self._calling = calling(EffectKind.TOOL, declared.name, declared.function, arguments, named)

    async def perform(self) -> Any:
        """On the worker's loop."""
        found = await self._effects.take(self._calling.call)
        if found is not None and found.status in _KNOWN:
            return self._calling.decode(result_of(found))
        if found is None:
            draft, admission = self._begin()
            if not self._declared.idempotent:
                await self._effects.written(self._effects.journal.begun(draft))
            return await self._do(draft, admission)
        if self._declared.idempotent or self._declared.unknown == "retry":
            return await self._do(*self._begin_again(found))
        if self._declared.unknown == "fail":
            raise self._effects.journal.unknown(found, self._unknown(found))
        return await self._find_out(found)

    def perform_plain(self) -> Any:
        """The same in a thread, while the worker's loop does what must be awaited."""
        if self._effects.is_on_loop():
            raise self._effects.refused(
                f"tool {self._declared.name} is a plain function, and was called on the event loop, where it cannot wait for "
                "its journal: make it `async def`, or call it by `await asyncio.to_thread(...)`"
            )
        wait_for, found = self._effects.wait_for, self._effects.take_here(self._calling.call)
        if found is not None and found.status in _KNOWN:
            return self._calling.decode(result_of(found))
        if found is None:
            draft, admission = self._begin()
            if not self._declared.idempotent:
                wait_for(self._effects.journal.begun(draft))
            return self._do_here(draft, admission)
        if self._declared.idempotent or self._declared.unknown == "retry":
            return self._do_here(*self._begin_again(found))
        if self._declared.unknown == "fail":
            raise self._effects.journal.unknown(found, self._unknown(found))
        return self._find_out_here(found)

    def _begin(self) -> tuple[Draft, Admission | None]:
        draft = self._effects.journal.begin(self._calling.call)
        return draft, self._admit(draft)

    def _begin_again(self, found: Effect) -> tuple[Draft, Admission | None]:
        draft = self._effects.journal.begin_again(found, self._calling.call)
        return draft, self._admit(draft)

    def _admit(self, draft: Draft) -> Admission | None:
        """Ask the breaker, before anything is written down as begun."""
        try:
            return self._declared.tries.admit()
        except ToolUnavailable as error:
            self._effects.journal.failed(draft, error, encode_failure(error))
            raise

    async def _do(self, draft: Draft, admission: Admission | None) -> Any:
        make, journal = self._with_key(draft).make, self._effects.journal
        try:
            with self._effects.meter.working(), self._unparked():
                result = await self._declared.tries.make(make, journal.check_may_act, admission)
        except Exception as error:
            journal.failed(draft, error, encode_failure(error))
            raise
        return self._calling.decode(result_of(await self._effects.written(journal.record(draft, result))))

    def _do_here(self, draft: Draft, admission: Admission | None) -> Any:
        make, journal = self._with_key(draft).make_here, self._effects.journal
        try:
            with self._effects.meter.working(), self._unparked():
                result = self._declared.tries.make_here(make, journal.check_may_act, admission)
        except Exception as error:
            journal.failed(draft, error, encode_failure(error))
            raise
        return self._calling.decode(result_of(self._effects.wait_for(journal.record(draft, result))))

    @contextmanager
    def _unparked(self) -> Iterator[None]:
        """What must not run twice is not parked amid: the next attempt would find it begun, and its outcome unknown."""
        unparked = self._effects.waiting.unparked
        if not self._declared.idempotent:
            unparked.add(self)
        try:
            yield
        finally:
            unparked.discard(self)

    def _with_key(self, draft: Draft) -> Calling:
        if not self._declared.takes_key or self._named.get(KEY_PARAMETER):
            return self._calling
        named = self._named | {KEY_PARAMETER: self._effects.journal.idempotency_key(draft)}
        return msgspec.structs.replace(self._calling, named=named)

    async def _find_out(self, found: Effect) -> Any:
        draft = self._effects.journal.begin_again(found, self._calling.call)
        try:
            result = await self._checker().make()
        except NotPerformed:
            return await self._do(draft, self._admit(draft))
        return self._calling.decode(result_of(await self._effects.written(self._effects.journal.record(draft, result))))

    def _find_out_here(self, found: Effect) -> Any:
        draft = self._effects.journal.begin_again(found, self._calling.call)
        try:
            result = self._checker().make_here()
        except NotPerformed:
            return self._do_here(draft, self._admit(draft))
        return self._calling.decode(result_of(self._effects.wait_for(self._effects.journal.record(draft, result))))

    def _checker(self) -> Calling:
        return msgspec.structs.replace(self._calling, function=self._declared.unknown)

    def _unknown(self, found: Effect) -> UnknownOutcome:
        return UnknownOutcome(
            f"tool {self._declared.name} was begun in attempt {found.attempt} and its outcome is unknown: find out whether it was "
            f"performed, settle it with POST /v1/tasks/{found.task_id}/effects/{found.id}/resolve, then retry the task"
        )
