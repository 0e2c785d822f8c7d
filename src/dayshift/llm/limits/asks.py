"""What a call asks of the limiter, and the answer of one that is not to wait."""

import asyncio

from msgspec import Struct

from dayshift.domain.errors import DayshiftError
from dayshift.domain.provider_settings import ProviderLimits
from dayshift.hotplane.limits import is_larger_than_a_bucket


class Ask(Struct, frozen=True, kw_only=True):
    """One call to a provider. `credentials` are ids, any of which will do; `is_per_model`: the model has limits of its own.

    `max_wait_seconds`: raise `LimitBusy` rather than wait longer; None: wait as long as `deadline_mono` allows.
    """

    provider: str
    model: str
    credentials: tuple[str, ...]
    limits: ProviderLimits
    agent: str
    tenant: str
    input_tokens: int
    max_output_tokens: int | None = None
    is_per_model: bool = False
    weight: float = 1.0
    priority: int = 5
    max_wait_seconds: float | None = None
    deadline_mono: float | None = None

    def longest_wait_seconds(self, now_mono: float) -> float | None:
        """How long it may wait from now."""
        left = None if self.deadline_mono is None else max(0.0, self.deadline_mono - now_mono)
        if self.max_wait_seconds is None or left is None:
            return left if self.max_wait_seconds is None else self.max_wait_seconds
        return min(self.max_wait_seconds, left)


class LimitBusy(DayshiftError):
    """The provider's limit would let this call wait longer than it may: try another target, or later."""

    code = "limit_busy"

    def __init__(self, provider: str, wait_seconds: float) -> None:
        super().__init__(
            f"the limit of the provider '{provider}' is used up; there is room in about {wait_seconds:.1f} s",
            retry_after_seconds=wait_seconds,
        )
        self.wait_seconds = wait_seconds


class Waiter:
    """A call in its worker's own line. What it will use is estimated anew each time that the plane is asked."""

    __slots__ = (
        "ask",
        "cost_ms",
        "future",
        "id",
        "input_tokens",
        "is_large",
        "output_tokens",
        "since_mono",
        "virtual_before",
    )

    def __init__(self, ask: Ask, identity: str, tokens: tuple[int, int], since_mono: float) -> None:
        self.ask = ask
        self.id = identity
        self.since_mono = since_mono
        self.virtual_before: float | None = None
        self.future: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self.estimate(tokens)

    def estimate(self, tokens: tuple[int, int]) -> None:
        """Take note of the input and output that it will probably use."""
        self.input_tokens, self.output_tokens = tokens
        self.cost_ms = _cost_ms(self.ask.limits, *tokens)
        self.is_large = is_larger_than_a_bucket(self.ask.limits, *tokens)


class Grant(Struct, frozen=True):
    """A call may start. `is_shared`: the plane knows of it; else it came out of this worker's own share."""

    credential: str
    is_shared: bool


def _cost_ms(limits: ProviderLimits, input_tokens: int, output_tokens: int) -> float:
    """How long the whole limit works for this call: of its buckets, the one that it takes most of."""
    parts = (
        (1, limits.requests_per_minute),
        (input_tokens + output_tokens, limits.tokens_per_minute),
        (input_tokens, limits.input_tokens_per_minute),
        (output_tokens, limits.output_tokens_per_minute),
    )
    return max((60_000 * amount / limit for amount, limit in parts if limit), default=0.0)
