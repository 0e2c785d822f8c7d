"""`ctx.step`: any function, journaled under its name and its arguments.

What a step does inside is journaled as well, under the step's own scope: it helps an attempt that died amid the step.
"""

from collections.abc import Callable
from typing import Any

from dayshift.agents.calling import Calling, calling, name_of
from dayshift.agents.effects import Effects
from dayshift.domain.effect import EffectKind


def run_step(effects: Effects, function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """On the worker's loop an awaitable of the result; in a plain agent's thread the result."""
    if effects.is_on_loop():
        return _run_async(effects, function, arguments, named)
    step = _step(function, arguments, named)
    return step.decode(effects.perform_here(step.call, step.make_here))


async def _run_async(
    effects: Effects, function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
) -> Any:
    step = _step(function, arguments, named)  # here, where it runs: in the branch of a gather that it was given to
    return step.decode(await effects.perform(step.call, step.make))


def _step(function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Calling:
    return calling(EffectKind.STEP, name_of(function), function, arguments, named)
