"""Which targets a call may go to: the settings' word for the model that an agent asks for.

    agents.NAME.models says another name ──▶ models.NAME lists targets ──▶ each is PROVIDER/MODEL
                                         └──▶ no such entry: the provider that the code called, with the model that it named

What a provider keeps for the caller (a response to go on from, a conversation) is known to nobody else, nor under another
account: such a call has one target, and one credential.

A key goes only to the provider that it is for: what the client had put in is taken out of a call that goes elsewhere.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from dayshift.domain.errors import WrongUse
from dayshift.domain.provider_settings import (
    BreakerSettings,
    CacheSettings,
    Means,
    ModelSettings,
    ProviderLimits,
    ProviderSettings,
    ProviderTimeouts,
)
from dayshift.domain.settings import Settings
from dayshift.llm.capture import place_of
from dayshift.llm.exchange import LlmCall, Outgoing, Patience

Family: TypeAlias = Literal["openai", "anthropic"]

CACHE_HEADER = "dayshift-cache"  # a caller's word whether an answer may be given again: ours, and no provider's
CLIENTS_OWN = "client"  # the credential that the agent's client has put into its request
_OF_AN_ACCOUNT = ("authorization", "x-api-key", "api-key", "openai-organization", "openai-project")


class Credential(Struct, frozen=True, repr_omit_defaults=True):
    """`id` names it without telling it. Without a secret the request keeps what its client has put in."""

    id: str
    secret: str | None = None

    def __repr__(self) -> str:
        return f"Credential({self.id})"


class Provider(Struct, frozen=True, kw_only=True):
    """Where a provider is, from the configuration or the settings. `base_url` is without a slash at its end."""

    name: str
    family: Family
    base_url: str


class Target(Struct, frozen=True, kw_only=True):
    """One place that may answer. `is_elsewhere`: not where the client would have sent the call."""

    provider: str
    model: str
    family: Family
    base_url: str
    credentials: tuple[Credential, ...]
    limits: ProviderLimits
    is_per_model: bool
    timeouts: ProviderTimeouts
    breaker: BreakerSettings
    max_attempts: int
    is_elsewhere: bool

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    @property
    def patience(self) -> Patience:
        """How long it may take."""
        times = self.timeouts
        return Patience(
            connect_seconds=times.connect,
            first_token_seconds=times.first_token,
            idle_seconds=times.idle,
            total_seconds=times.total,
        )

    def outgoing(self, call: LlmCall, credential_id: str) -> Outgoing:
        """A try of the call here, with that credential."""
        secret = next(one.secret for one in self.credentials if one.id == credential_id)
        return Outgoing(
            url=self.base_url + call.api.path if self.is_elsewhere else None,
            headers={CACHE_HEADER: None, **self._headers(secret)}
            if CACHE_HEADER in call.headers
            else self._headers(secret),
            body=None if self.model == call.question.model else with_model(call.body, self.model),
            patience=self.patience,
        )

    def _headers(self, secret: str | None) -> Mapping[str, str | None]:
        if secret is None and not self.is_elsewhere:
            return {}
        headers: dict[str, str | None] = dict.fromkeys(_OF_AN_ACCOUNT)
        if secret is not None and self.family == "openai":
            headers["authorization"] = f"Bearer {secret}"
        elif secret is not None:
            headers["x-api-key"] = secret
        return headers


class Route(Struct, frozen=True, kw_only=True):
    """The targets in their order, and what is done when one is not to be had. `name`: the model's in the settings, if it has one."""

    name: str = ""
    targets: tuple[Target, ...]
    when_unavailable: tuple[Means, ...] = ("fail",)
    max_wait_seconds: float = 0.0
    cache: CacheSettings | None = None
    restarts_streams: bool = False


class Router:
    """`providers` exist from the start; `secret_named` reads `${env:NAME}`, None where there is none."""

    def __init__(self, providers: Sequence[Provider], secret_named: Callable[[str], str | None]) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._secret_named = secret_named
        self._settings: Settings | None = None
        self._routes: dict[tuple[str, str, str, str, str, bool], Route] = {}

    def route(self, settings: Settings, agent: str, call: LlmCall) -> Route:
        """Where this call of that agent may go. Raises WrongUse when it cannot go anywhere."""
        if settings is not self._settings:  # a newer snapshot: what was made of the older one is void
            self._settings, self._routes = settings, {}
        question = call.question
        where = call.url.partition("?")[0]  # one provider may be known at two addresses
        key = agent, call.provider, where, call.api.name, question.model, question.is_kept_there
        if key not in self._routes:
            self._routes[key] = self._made(settings, agent, call)
        return self._routes[key]

    def _made(self, settings: Settings, agent: str, call: LlmCall) -> Route:
        asked = call.question.model
        name = settings.agent(agent).models.get(asked, asked)
        model = settings.models.get(name)
        if model is None:
            named = name if name != asked and self._is_target(settings, name) else f"{call.provider}/{name}"
            return Route(targets=(self._target(settings, named, call),))
        targets = self._targets(settings, name, model, call)
        if call.question.is_kept_there:
            first = msgspec.structs.replace(targets[0], credentials=targets[0].credentials[:1])
            means = tuple(one for one in model.when_unavailable if one in ("park", "fail"))
            return Route(targets=(first,), when_unavailable=means or ("fail",), max_wait_seconds=model.max_wait)
        return Route(
            name=name,
            targets=targets,
            when_unavailable=model.when_unavailable,
            max_wait_seconds=model.max_wait,
            cache=model.cache,
            restarts_streams=model.on_broken_stream == "restart",
        )

    def _targets(self, settings: Settings, name: str, model: ModelSettings, call: LlmCall) -> tuple[Target, ...]:
        found, troubles = [], []
        for named in model.targets:
            try:
                target = self._target(settings, named, call)
            except WrongUse as trouble:
                troubles.append(trouble.message)
                continue
            if target.family == call.api.provider:
                found.append(target)
            else:
                troubles.append(f"{named} speaks {target.family}'s formats, and the call is {call.api.name}")
        if not found:
            raise WrongUse(f"models.{name}: none of its targets can be asked: {'; '.join(troubles)}")
        return tuple(found)

    def _is_target(self, settings: Settings, name: str) -> bool:
        provider, slash, _ = name.partition("/")
        return bool(slash) and (provider in self._providers or provider in settings.providers)

    def _target(self, settings: Settings, named: str, call: LlmCall) -> Target:
        name, _, model = named.partition("/")
        said = settings.providers.get(name, ProviderSettings())
        provider = self._provider(name, said)
        is_elsewhere = place_of(call.url) != place_of(provider.base_url + call.api.path)
        own = said.model_limits.get(model)
        return Target(
            provider=name,
            model=model,
            family=provider.family,
            base_url=provider.base_url,
            credentials=self._credentials(name, said),
            limits=own or said.limits,
            is_per_model=own is not None,
            timeouts=said.timeouts,
            breaker=said.breaker,
            max_attempts=said.max_attempts,
            is_elsewhere=is_elsewhere,
        )

    def _provider(self, name: str, said: ProviderSettings) -> Provider:
        known = self._providers.get(name)
        family = said.format or (known.family if known else None)
        base_url = said.base_url or (known.base_url if known else None)
        if family is None or base_url is None:
            raise WrongUse(f"providers.{name} needs a format and a base_url")
        return Provider(name=name, family=family, base_url=base_url.rstrip("/"))

    def _credentials(self, name: str, said: ProviderSettings) -> tuple[Credential, ...]:
        if said.api_key is None:
            return (Credential(f"{name}:{CLIENTS_OWN}"),)
        variables = said.api_key_variables
        secrets = {variable: self._secret_named(variable) for variable in variables}
        found = tuple(Credential(f"{name}:{variable}", secret) for variable, secret in secrets.items() if secret)
        if not found:
            raise WrongUse(
                f"providers.{name}.api_key names the environment variable {', '.join(variables)}, which this worker does not have: "
                "set it where the worker is started, and start it anew"
            )
        return found


def with_model(body: bytes, model: str) -> bytes:
    """The same request for another model; what else it says is copied as it stands."""
    fields = msgspec.json.decode(body, type=dict[str, Raw])
    fields["model"] = Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)
