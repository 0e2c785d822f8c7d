"""`@agent`: marks a function as an agent, and leaves it the function that it was.

Only options are checked here. Hints are read when a worker loads the file, so that they may name classes defined
further down.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from dayshift.domain import webhooks
from dayshift.domain.errors import WrongUse

Function = TypeVar("Function", bound=Callable[..., Any])

MARK = "__dayshift_agent__"
HOUSE_PREFIX = "dayshift."
LONGEST_TIMEOUT_SECONDS = 31_536_000.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What `@agent` was told about a function."""

    function: Callable[..., Any]
    name: str
    queue: str
    timeout_seconds: float
    max_attempts: int
    strict: bool
    pin: bool


@overload
def agent(function: Function, /) -> Function: ...


@overload
def agent(
    *,
    name: str | None = None,
    queue: str = "default",
    timeout: float = 300,
    max_attempts: int = 4,
    strict: bool = False,
    pin: bool = False,
) -> Callable[[Function], Function]: ...


def agent(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = "default",
    timeout: float = 300,
    max_attempts: int = 4,
    strict: bool = False,
    pin: bool = False,
) -> Function | Callable[[Function], Function]:
    """Make an agent of a function, async or plain. Called directly it stays that function.

    `timeout` bounds one attempt, in seconds; `max_attempts` bounds failures; `strict` stops on a divergence instead of
    paying again; `pin` keeps a task with the code version that started it.
    """

    def declare(function: Function) -> Function:
        declaration = Declaration(
            function=function,
            name=name if name is not None else getattr(function, "__name__", ""),
            queue=queue,
            timeout_seconds=timeout,
            max_attempts=max_attempts,
            strict=strict,
            pin=pin,
        )
        _check(declaration)
        setattr(function, MARK, declaration)
        return function

    return declare if function is None else declare(function)


def declaration_of(value: object) -> Declaration | None:
    """The declaration that a module's value carries, if it is an agent."""
    mark = getattr(value, MARK, None) if callable(value) and not isinstance(value, type) else None
    return mark if isinstance(mark, Declaration) else None


def _check(declaration: Declaration) -> None:
    where = f"@agent on {declaration.name or declaration.function!r}"
    if not inspect.isfunction(declaration.function):
        raise WrongUse(f"{where}: it marks functions only; wrap what you have in `async def`")
    if inspect.isasyncgenfunction(declaration.function) or inspect.isgeneratorfunction(declaration.function):
        raise WrongUse(f"{where}: an agent returns its result; send parts with `await ctx.emit(...)` instead of yield")
    for word, text in (("name", declaration.name), ("queue", declaration.queue)):
        if not isinstance(text, str) or _NAME.fullmatch(text) is None:
            raise WrongUse(f"{where}: {word}={text!r} must be 1-100 of A-Z a-z 0-9 _ . - and begin with none of . -")
    if declaration.name.startswith(HOUSE_PREFIX) or declaration.queue == webhooks.QUEUE:
        raise WrongUse(
            f"{where}: names that begin with {HOUSE_PREFIX} and the queue {webhooks.QUEUE} are for built-in agents; choose another"
        )
    _check_numbers(where, declaration)


def _check_numbers(where: str, declaration: Declaration) -> None:
    timeout, max_attempts = declaration.timeout_seconds, declaration.max_attempts
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= LONGEST_TIMEOUT_SECONDS:
        raise WrongUse(f"{where}: timeout={timeout!r} must be seconds above 0, at most a year")
    if isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or max_attempts < 1:
        raise WrongUse(f"{where}: max_attempts={max_attempts!r} must be a whole number from 1")
