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
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from dayshift.agents.calling import Calling, calling
from dayshift.agents.effects import Effects, current_effects, result_of
from dayshift.agents.errors import Fatal
from dayshift.agents.failures import encode_failure
from dayshift.domain.effect import Effect, EffectKind, EffectStatus
from dayshift.domain.errors import WrongUse
from dayshift.journal import Draft

_KNOWN = frozenset({EffectStatus.DONE, EffectStatus.FAILED})
KEY_PARAMETER = "idempotency_key"
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


def tool(*, idempotent: bool, name: str | None = None, unknown: Policy = "fail") -> Callable[[Function], Function]:
    """Make a tool of a function, async or plain.

    `idempotent` must be said: whether doing it twice is as good as doing it once. `unknown` is what happens to one that is
    not, when an attempt died amid it: `"fail"`, `"retry"`, or a function that finds out (see above).
    """
    if not isinstance(idempotent, bool):
        raise WrongUse(f"@tool(idempotent={idempotent!r}): say True or False")
    if unknown not in ("fail", "retry") and not callable(unknown):
        raise WrongUse(f"@tool(unknown={unknown!r}): say 'fail' or 'retry', or name a function that finds out")

    def declare(function: Function) -> Function:
        if not inspect.isfunction(function):
            raise WrongUse(f"@tool on {function!r}: it marks functions only")
        declared = Tool(
            function=function,
            name=name or function.__qualname__,
            idempotent=idempotent,
            unknown=unknown,
            takes_key=KEY_PARAMETER in inspect.signature(function).parameters,
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
        found = self._effects.journal.take(self._calling.call)
        if found is not None and found.status in _KNOWN:
            return self._calling.decode(result_of(found))
        if found is None:
            return await self._do(await self._begin())
        if self._declared.idempotent or self._declared.unknown == "retry":
            return await self._do(self._begin_again(found))
        if self._declared.unknown == "fail":
            await self._effects.journal.unknown(found)
            raise self._unknown(found)
        return await self._find_out(found)

    def perform_plain(self) -> Any:
        """The same in a thread, while the worker's loop does what must be awaited."""
        if self._effects.is_on_loop():
            raise WrongUse(
                f"tool {self._declared.name} is a plain function, and was called on the event loop, where it cannot wait for "
                "its journal: make it `async def`, or call it by `await asyncio.to_thread(...)`"
            )
        wait_for, found = self._effects.wait_for, self._effects.journal.take(self._calling.call)
        if found is not None and found.status in _KNOWN:
            return self._calling.decode(result_of(found))
        if found is None:
            return self._do_here(wait_for(self._begin()))
        if self._declared.idempotent or self._declared.unknown == "retry":
            return self._do_here(self._begin_again(found))
        if self._declared.unknown == "fail":
            wait_for(self._effects.journal.unknown(found))
            raise self._unknown(found)
        return self._find_out_here(found)

    async def _begin(self) -> Draft:
        draft = self._effects.journal.begin(self._calling.call)
        if not self._declared.idempotent:
            await self._effects.journal.begun(draft)
        return draft

    def _begin_again(self, found: Effect) -> Draft:
        return self._effects.journal.begin_again(found, self._calling.call)

    async def _do(self, draft: Draft) -> Any:
        try:
            result = await self._with_key(draft).make()
        except Exception as error:
            self._effects.journal.failed(draft, error, encode_failure(error))
            raise
        return self._calling.decode(result_of(await self._effects.journal.record(draft, result)))

    def _do_here(self, draft: Draft) -> Any:
        try:
            result = self._with_key(draft).make_here()
        except Exception as error:
            self._effects.journal.failed(draft, error, encode_failure(error))
            raise
        return self._calling.decode(result_of(self._effects.wait_for(self._effects.journal.record(draft, result))))

    def _with_key(self, draft: Draft) -> Calling:
        if not self._declared.takes_key or self._named.get(KEY_PARAMETER):
            return self._calling
        named = self._named | {KEY_PARAMETER: self._effects.journal.idempotency_key(draft)}
        return msgspec.structs.replace(self._calling, named=named)

    async def _find_out(self, found: Effect) -> Any:
        draft = self._begin_again(found)
        try:
            result = await self._checker().make()
        except NotPerformed:
            return await self._do(draft)
        return self._calling.decode(result_of(await self._effects.journal.record(draft, result)))

    def _find_out_here(self, found: Effect) -> Any:
        draft = self._begin_again(found)
        try:
            result = self._checker().make_here()
        except NotPerformed:
            return self._do_here(draft)
        return self._calling.decode(result_of(self._effects.wait_for(self._effects.journal.record(draft, result))))

    def _checker(self) -> Calling:
        return msgspec.structs.replace(self._calling, function=self._declared.unknown)

    def _unknown(self, found: Effect) -> UnknownOutcome:
        return UnknownOutcome(
            f"tool {self._declared.name} was begun in attempt {found.attempt} and its outcome is unknown (effect {found.id}): find out "
            "whether it was performed, settle it with POST /v1/tasks/ID/effects/EID/resolve, then retry the task"
        )
