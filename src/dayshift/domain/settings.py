"""What can change while running: the typed sections (CONTRACT section 6) and the immutable snapshot that readers hold."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from dayshift.domain.provider_settings import BudgetSettings, ModelSettings, PriceSettings, ProviderSettings

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Weight = Annotated[float, Meta(gt=0, le=1_000_000)]
Duration = Annotated[str, Meta(pattern=r"^[1-9][0-9]*[dhms]$")]
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]


class QueueSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    max_depth: Count = 100_000
    paused: bool = False


class RateLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    requests_per_minute: Positive | None = None
    requests_per_day: Positive | None = None


class TenantSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    weight: Weight = 1.0
    limits: RateLimits = RateLimits()
    user_limits: RateLimits = RateLimits()
    concurrent: Count | None = None
    max_queued: Count = 10_000
    connections: Count = 10_000
    budget: BudgetSettings | None = None
    user_budget: BudgetSettings | None = None
    flags: dict[str, Any] = {}


class AgentSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rate_cost`: as how many requests a task of it counts against the limits of its tenant and user."""

    enabled: bool = True
    concurrency: Count | None = None
    timeout: Seconds | None = None
    max_attempts: Positive | None = None
    models: dict[str, str] = {}
    budget: BudgetSettings | None = None
    rate_cost: Positive = 1


class FlagSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`value` is for so many percent of the tasks; the others, and those that no flag is set for, have their code's default."""

    value: Any = True
    percent: Annotated[float, Meta(ge=0, le=100)] = 100.0


Origin = Annotated[str, Meta(pattern=r"^(\*|https?://[^/\s*]+)$", max_length=300)]


class GatewaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`aliases`: other names of agents, for clients that ask for a model. `cors_origins`: whose web pages may call."""

    max_body_bytes: Annotated[int, Meta(ge=1024, le=67_108_864)] = 1_048_576
    default_agent: str | None = None
    aliases: dict[str, str] = {}
    cors_origins: list[Origin] = []


class RetentionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Durations are text such as `30d`, `12h`, `90m`, `45s`, counted from a task's end.

    `conversations`: how long the history of one is kept in which no task came or went; null: until it is erased.
    """

    tasks: Duration = "30d"
    events: Duration = "1h"
    conversations: Duration | None = None


class JournalSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`preview_characters`: how much of what was asked is kept with each effect that begins from then on, without secrets."""

    preview_characters: Annotated[int, Meta(ge=0, le=2_000)] = 0


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`allow_private`: webhooks may go to http addresses, and to private, loopback and link-local ones, too."""

    allow_private: bool = False


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of all settings. Swapped whole when a newer version is seen; never changed in place."""

    providers: dict[str, ProviderSettings] = {}
    models: dict[str, ModelSettings] = {}
    prices: dict[str, PriceSettings] = {}
    queues: dict[str, QueueSettings] = {}
    tenants: dict[str, TenantSettings] = {}
    agents: dict[str, AgentSettings] = {}
    flags: dict[str, FlagSettings] = {}
    gateway: GatewaySettings = GatewaySettings()
    retention: RetentionSettings = RetentionSettings()
    journal: JournalSettings = JournalSettings()
    webhooks: WebhookSettings = WebhookSettings()

    def queue(self, name: str) -> QueueSettings:
        return self.queues.get(name) or QueueSettings()

    def tenant(self, name: str) -> TenantSettings:
        """The tenant's own section, else that of `tenants.*`, else the defaults."""
        return self.tenants.get(name) or self.tenants.get("*") or TenantSettings()

    def agent(self, name: str) -> AgentSettings:
        return self.agents.get(name) or AgentSettings()


_UNIT_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def duration_seconds(text: str) -> int:
    """Seconds in a duration such as `30d`."""
    return int(text[:-1]) * _UNIT_SECONDS[text[-1]]


def to_builtins(value: object) -> Any:
    """A settings value as plain JSON data."""
    return msgspec.to_builtins(value)
