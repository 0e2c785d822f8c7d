"""`ctx.sleep`, `ctx.wait_for`, `ctx.call`: waiting that needs no worker.

A wait is written down before it begins, so it has an id that every attempt finds again. While it lasts the worker may park
the task: then this code ends with `Parked`, and a later attempt comes here again and finds either the wait or its answer.
A sleep below a second just sleeps.
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from dayshift.agents.calling import result_shape
from dayshift.agents.declaration import Declaration, declaration_of
from dayshift.agents.effects import Effects, result_of, scope
from dayshift.agents.errors import Fatal
from dayshift.agents.failures import encode_failure
from dayshift.agents.values import Unencodable, encode_value
from dayshift.domain.child import Child, ChildEnd
from dayshift.domain.effect import Effect, EffectKind, EffectStatus
from dayshift.domain.errors import WrongUse
from dayshift.domain.task import Status
from dayshift.journal import Call, call_of

SHORT_SECONDS = 1.0
LONGEST_SECONDS = 10 * 366 * 86_400.0
NAME_LIMIT = 200
TIMED_OUT = "no signal came within its time"  # as it is recorded: who makes something of it makes the same of a replay
MOST_CHILDREN = 10_000
DEEPEST = 32


class ChildFailed(Fatal):
    """A task that this one called has failed or was cancelled; it was tried as often as it may be."""

    code = "child_failed"

    def __init__(self, agent: str, task_id: str, code: str, message: str) -> None:
        super().__init__(f"agent {agent} ({task_id}) ended with {code}: {message}")
        self.args = (agent, task_id, code, message)
        self.agent = agent
        self.task_id = task_id
        self.error_code = code

    def __str__(self) -> str:
        return self.message


def sleep(effects: Effects, seconds: float) -> Any:
    """In async code an awaitable; in a plain agent's thread it returns when the time is over."""
    if not _is_number(seconds) or not 0 <= seconds <= LONGEST_SECONDS:
        raise WrongUse(f"ctx.sleep({seconds!r}): seconds must be a number from 0, at most ten years")
    return _there(effects, _sleep(effects, float(seconds)))


def wait_for(effects: Effects, name: str, timeout: float | None) -> Any:
    """The signal's payload: awaited on the worker's loop, in a plain agent's thread itself."""
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT:
        raise WrongUse(f"ctx.wait_for({name!r}): the signal's name must be text of 1-{NAME_LIMIT} characters")
    if "/" in name or name in (".", "..") or not name.isprintable():
        raise WrongUse(
            f"ctx.wait_for({name!r}): nobody could send it, as its name is a part of a path, which . and .. are not: leave out / and what "
            "does not print"
        )
    if timeout is not None and not (_is_number(timeout) and 0 < timeout <= LONGEST_SECONDS):
        raise WrongUse(f"ctx.wait_for({name!r}, timeout={timeout!r}): seconds must be above 0, at most ten years")
    return _there(effects, _wait_for(effects, name, timeout))


def call(effects: Effects, agent: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The child's output: awaited on the worker's loop, in a plain agent's thread itself.

    Raises `ChildFailed` when it failed or was cancelled.
    """
    return _there(effects, _call(effects, _declared(agent), arguments, named))


def _declared(agent: Callable[..., Any]) -> Declaration:
    declared = declaration_of(agent)
    if declared is None:
        raise WrongUse(f"ctx.call: {agent!r} is not an agent; mark it @agent, or use ctx.step for a plain function")
    return declared


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def call_by_hand(context: Any, agent: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Outside of tasks an agent is the function that it was, with the caller's context."""
    declared = _declared(agent)
    given = (context, *arguments) if _takes_context(declared) else arguments
    return declared.function(*given, **named)


def _there(effects: Effects, doing: Coroutine[Any, Any, Any]) -> Any:
    return effects.written(doing) if effects.is_in_async_code() else effects.wait_for(doing)


async def _sleep(effects: Effects, seconds: float) -> None:
    if seconds < SHORT_SECONDS:
        await asyncio.sleep(seconds)
        return
    asked = call_of(EffectKind.SLEEP, f"{seconds:g} s", b"", scope=scope.get())
    wait = await _opened(effects, asked, seconds)
    if wait.status is EffectStatus.STARTED:
        await effects.waiting.until_due(wait)
        await effects.journal.record(effects.journal.begin_again(wait, asked), b"null")


async def _wait_for(effects: Effects, name: str, timeout: float | None) -> Any:
    asked = call_of(EffectKind.SIGNAL, name, b"", scope=scope.get())
    wait = await _opened(effects, asked, timeout)
    if wait.status is EffectStatus.STARTED:
        answer = await effects.waiting.answer(wait)
        if answer is None:
            raise TimeoutError(TIMED_OUT)
        assert isinstance(answer, bytes), "a wait for a signal is answered by what it said"
        wait = await effects.journal.record(effects.journal.begin_again(wait, asked), answer)
    return msgspec.json.decode(result_of(wait))


async def _call(effects: Effects, declared: Declaration, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    given = _input_of(declared, arguments, named)
    asked = call_of(
        EffectKind.CHILD,
        declared.name,
        given,
        scope=scope.get(),
        parts={"input": given},
        asked=lambda: msgspec.json.decode(given),
    )
    journal = effects.journal
    wait = await effects.take(asked)
    if wait is None:
        if journal.count_of(EffectKind.CHILD) >= MOST_CHILDREN or effects.depth >= DEEPEST:
            raise Fatal(
                f"ctx.call of agent {declared.name}: a task may call {MOST_CHILDREN} others, {DEEPEST} levels deep"
            )
        wait = await journal.spawn(journal.begin(asked), Child(declared.name, declared.queue, given))
    if wait.status is EffectStatus.STARTED:
        wait = await _ended(effects, declared, asked, wait)
    return result_shape(declared.function).decode(result_of(wait))


async def _ended(effects: Effects, declared: Declaration, asked: Call, wait: Effect) -> Effect:
    end = await effects.waiting.answer(wait)
    assert isinstance(end, ChildEnd), "a wait for a child is answered by its end"
    draft = effects.journal.begin_again(wait, asked)
    if end.status is Status.SUCCEEDED:
        return await effects.journal.record(draft, end.output or b"null")
    code = end.error_code or (end.status or "erased")
    error = ChildFailed(declared.name, wait.id.replace("effect_", "task_", 1), code, end.error_message or "it is gone")
    effects.journal.failed(draft, error, encode_failure(error))
    raise error


async def _opened(effects: Effects, asked: Call, seconds: float | None) -> Effect:
    """The wait: found, with its answer or without, or written down now."""
    found = effects.journal.take(asked)
    return found or await effects.journal.begun(effects.journal.begin(asked), wait_seconds=seconds)


def _input_of(declared: Declaration, arguments: tuple[Any, ...], named: dict[str, Any]) -> bytes:
    where = f"ctx.call of agent {declared.name}"
    signature = inspect.signature(declared.function)
    try:
        if _takes_context(declared):
            given = dict(signature.bind(None, *arguments, **named).arguments)
            del given[next(iter(signature.parameters))]
        else:
            given = dict(signature.bind(*arguments, **named).arguments)
        return encode_value(given)
    except TypeError as error:
        raise WrongUse(f"{where}: {error}") from None
    except Unencodable as error:
        raise WrongUse(f"{where}: its input cannot be sent: {error}") from None


def _takes_context(declared: Declaration) -> bool:
    """Whether its first parameter is the context (see `agents/signature.py`, which also resolves hints)."""
    parameters = list(inspect.signature(declared.function).parameters.values())
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        return False
    hint = parameters[0].annotation
    return parameters[0].name == "ctx" or getattr(hint, "__name__", hint) in ("Context", "dayshift.Context")
