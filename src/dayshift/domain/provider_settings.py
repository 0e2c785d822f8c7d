"""Providers and models as the settings have them (CONTRACT section 6): who answers LLM calls, how fast, and what if nobody does."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

Limit = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]
ShortSeconds = Annotated[float, Meta(gt=0, le=86_400)]
Ratio = Annotated[float, Meta(gt=0, le=1)]
Usd = Annotated[float, Meta(gt=0, le=1_000_000_000)]
Price = Annotated[float, Meta(ge=0, le=1_000_000)]
TargetName = Annotated[str, Meta(pattern=r"^[^/]+/.+$")]
BaseUrl = Annotated[str, Meta(pattern=r"^https?://[^\s?#]+$")]

Means: TypeAlias = Literal["fallback", "cached", "park", "fail"]


class ProviderLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a credential may use. A field left out is no limit. `window`: no span of so many seconds gets more than its share."""

    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    input_tokens_per_minute: Limit | None = None
    output_tokens_per_minute: Limit | None = None
    concurrent: Limit | None = None
    window: Annotated[float, Meta(ge=1, le=60)] = 60.0

    @property
    def are_known(self) -> bool:
        """Whether there is any."""
        return any(
            (
                self.requests_per_minute,
                self.tokens_per_minute,
                self.input_tokens_per_minute,
                self.output_tokens_per_minute,
                self.concurrent,
            )
        )


class ProviderTimeouts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds: to a connection, to the first token (the whole answer, where it is not streamed, has `total`), between tokens, and in all."""

    connect: ShortSeconds = 5.0
    first_token: ShortSeconds = 60.0
    idle: ShortSeconds = 30.0
    total: ShortSeconds = 300.0


class BreakerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Opens for `open` seconds when, of at least `min_calls` calls in `window` seconds, `error_ratio` failed; sooner, when nearly all
    of the latest `min_calls` have.
    """

    error_ratio: Ratio = 0.5
    window: ShortSeconds = 60.0
    min_calls: Annotated[int, Meta(ge=1, le=1_000_000)] = 10
    open: ShortSeconds = 30.0


class ProviderSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`api_key` names environment variables, `${env:NAME}`; that it does is checked with what settings mean, as msgspec 0.22 crashes on a
    union of limited text and a list of it. `limits` are each credential's. A model that `model_limits` names has limits of its own there, and leaves the others alone.
    """

    format: Literal["openai", "anthropic"] | None = None
    base_url: BaseUrl | None = None
    api_key: str | tuple[str, ...] | None = None
    limits: ProviderLimits = ProviderLimits()
    model_limits: dict[str, ProviderLimits] = {}
    timeouts: ProviderTimeouts = ProviderTimeouts()
    max_attempts: Annotated[int, Meta(ge=1, le=10)] = 3
    breaker: BreakerSettings = BreakerSettings()

    @property
    def api_key_variables(self) -> tuple[str, ...]:
        """The environment variables that hold its keys, in their order."""
        keys = (self.api_key,) if isinstance(self.api_key, str) else self.api_key or ()
        return tuple(key.removeprefix("${env:").removesuffix("}") for key in keys)


class PriceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars for a million tokens. What is read from a provider's cache and what is written to it costs as much as other
    input where nothing else is said. 0 is a price: that of a machine that is paid for anyway.
    """

    input_usd_per_million: Price
    output_usd_per_million: Price = 0.0
    cached_usd_per_million: Price | None = None
    cache_write_usd_per_million: Price | None = None


class CacheSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many seconds an answer is given again to an equal call; `shared`: also to other tenants."""

    ttl: Annotated[float, Meta(gt=0, le=31_536_000)] = 3_600.0
    shared: bool = False


class ModelSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`targets` in the order in which they are tried; `when_unavailable`: what is done, in order, when one is not to be had.
    `max_wait`: the seconds that a call waits for the limit of a target while there is another. `on_broken_stream`: what becomes of a
    stream that breaks off after its first token: the caller is told, or it begins anew at the next target, behind a mark.
    """

    targets: Annotated[tuple[TargetName, ...], Meta(min_length=1)]
    when_unavailable: tuple[Means, ...] = ("fallback", "fail")
    max_wait: Annotated[float, Meta(ge=0, le=86_400)] = 2.0
    on_broken_stream: Literal["fail", "restart"] = "fail"
    cache: CacheSettings | None = None


class BudgetSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be spent: by a task with its children, in a conversation, and in an hour, a day or a month (UTC). `on_breach` says what
    then. `unpriced`: whether a call that nobody knows the price of may be made where dollars are counted.
    """

    usd_per_task: Usd | None = None
    tokens_per_task: Limit | None = None
    usd_per_conversation: Usd | None = None
    tokens_per_conversation: Limit | None = None
    usd_per_hour: Usd | None = None
    usd_per_day: Usd | None = None
    usd_per_month: Usd | None = None
    tokens_per_hour: Limit | None = None
    tokens_per_day: Limit | None = None
    tokens_per_month: Limit | None = None
    on_breach: Literal["fail", "approval"] = "fail"
    unpriced: Literal["fail", "allow"] = "fail"
