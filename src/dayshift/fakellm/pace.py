"""When an answer comes: latency distributions, and the moments of a stream's tokens."""

import math
import random
from collections.abc import Callable

import msgspec

Draw = Callable[[random.Random], float]

FORMS = "a number of seconds, lognormal:MEDIAN,SIGMA or uniform:FROM,TO"


class Pace(msgspec.Struct, frozen=True):
    """A latency: its text as it was given, and a draw from it in seconds."""

    text: str
    draw: Draw


class Moments(msgspec.Struct, frozen=True):
    """Of one answer: when its first token is sent and when its last, in seconds after the request."""

    first_seconds: float
    last_seconds: float


def parse_pace(given: float | str) -> Pace:
    """Read `1.0`, `lognormal:0.9,0.4` (median, sigma) or `uniform:0.5,1.5`."""
    text = str(given).strip()
    kind, _, numbers = text.partition(":")
    try:
        values = [float(number) for number in (numbers or kind).split(",")]
    except ValueError:
        values = []
    if not values or not all(math.isfinite(value) and value >= 0 for value in values):
        raise ValueError(f"latency {text!r} is not {FORMS}")
    if not numbers and len(values) == 1:
        return Pace(text, lambda _: values[0])
    if kind == "lognormal" and len(values) == 2 and values[0] > 0:
        mu, sigma = math.log(values[0]), values[1]
        return Pace(text, lambda dice: dice.lognormvariate(mu, sigma))
    if kind == "uniform" and len(values) == 2:
        return Pace(text, lambda dice: dice.uniform(values[0], values[1]))
    raise ValueError(f"latency {text!r} is not {FORMS}")


def plan_moments(
    *, latency_seconds: float, first_token_seconds: float | None, tokens_per_second: float | None, output_tokens: int
) -> Moments:
    """A call takes its latency and then the time its tokens take; a stream spreads its tokens from first to last.

    Without a latency for the first token it comes after the whole latency. So a streamed call takes exactly as long as
    the same call not streamed, and with neither pace given its tokens all come at the end of the latency.
    """
    generation_seconds = output_tokens / tokens_per_second if tokens_per_second else 0.0
    first = latency_seconds if first_token_seconds is None else first_token_seconds
    return Moments(first, max(first, latency_seconds + generation_seconds))
