"""`ctx.step`: any function, journaled under its name and its arguments.

What a step does inside is journaled as well, under the step's own scope: it helps an attempt that died amid the step.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from dayshift.agents.calling import Calling, calling, name_of, unwrapped
from dayshift.agents.effects import Effects
from dayshift.agents.trying import Tries, check_options
from dayshift.domain.effect import EffectKind


class Options(Struct, frozen=True):
    """What `ctx.with_options` was told. All arguments of `step` are the function's own, so options are said before it."""

    _effects: Effects
    retries: int = 0
    timeout: float | None = None

    def step(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """`ctx.step` with these options. Await it in async code."""
        if self._effects.is_in_async_code():
            return self._run_async(function, args, kwargs)
        step, tries, check = self._step(function, args, kwargs), self._tries(function), self._check
        return step.decode(self._effects.perform_here(step.call, lambda: tries.make_here(step.make_here, check)))

    async def _run_async(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # here, where it runs: in the branch of a gather that it was given to
        step, tries, check = self._step(function, args, kwargs), self._tries(function), self._check
        return step.decode(await self._effects.perform(step.call, lambda: tries.make(step.make, check)))

    def _tries(self, function: Callable[..., Any]) -> Tries:
        where = f"step {name_of(function)}"
        check_options(where, unwrapped(function), self.retries, self.timeout)
        return Tries(where, self.retries, self.timeout)

    def _check(self) -> None:
        self._effects.journal.check_may_act()

    def _step(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Calling:
        return calling(EffectKind.STEP, name_of(function), function, args, kwargs)
