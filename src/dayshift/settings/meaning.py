"""What settings must be to one another: names that are named must be there, and what is said must not contradict itself."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from dayshift.domain.errors import FieldError
from dayshift.domain.provider_settings import ModelSettings, ProviderLimits, ProviderSettings
from dayshift.domain.settings import Settings
from dayshift.settings.paths import Path, canonical

FIRST_PROVIDERS: Final = {"openai": "openai", "anthropic": "anthropic"}
"""Those that exist from the start (CONTRACT section 6), and the format that each speaks."""

_SECRET = re.compile(r"\$\{env:[A-Za-z_][A-Za-z0-9_]*\}")
SECRETS_CURE: Final = (
    "Expected ${env:NAME}, or a list of these, as keys are never stored: put the key into an environment variable of the workers, and "
    "name that"
)

Fault = tuple[Path, FieldError]


def faults_of_meaning(settings: Settings) -> Iterator[Fault]:
    """Every contradiction, with the path of the smallest piece to take out so that the rest holds."""
    for name, provider in settings.providers.items():
        yield from _of_provider(("providers", name), name, provider)
    formats = _formats(settings.providers)
    for name, model in settings.models.items():
        yield from _of_targets(("models", name), model.targets, formats)
        yield from _of_means(("models", name), model)
    for name, agent in settings.agents.items():
        for asked, given in agent.models.items():
            if given not in settings.models and given.partition("/")[0] not in formats:
                yield _fault(
                    ("agents", name, "models", asked), f"names {given!r}, which is neither in models nor PROVIDER/MODEL"
                )


def _of_provider(path: Path, name: str, provider: ProviderSettings) -> Iterator[Fault]:
    missing = [field for field in ("format", "base_url") if getattr(provider, field) is None]
    if missing and name not in FIRST_PROVIDERS:
        yield _fault(path, f"needs {' and '.join(missing)}: only openai and anthropic are known without")
    if provider.base_url is not None and not _is_address(provider.base_url):
        yield _fault(
            (*path, "base_url"), "is no address: expected http(s)://HOST[:PORT][/PATH], with a port from 1 to 65535"
        )
    keys = (provider.api_key,) if isinstance(provider.api_key, str) else provider.api_key or ()
    if not all(_SECRET.fullmatch(key) for key in keys):
        yield _fault((*path, "api_key"), SECRETS_CURE)
    yield from _of_limits((*path, "limits"), provider.limits)
    for model, limits in provider.model_limits.items():
        yield from _of_limits((*path, "model_limits", model), limits)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or ports that are none
        return False


def _of_limits(path: Path, limits: ProviderLimits) -> Iterator[Fault]:
    if limits.tokens_per_minute and (limits.input_tokens_per_minute or limits.output_tokens_per_minute):
        yield _fault(
            path, "says tokens_per_minute, and input or output apart: a provider counts in one of the two ways"
        )


def _of_targets(path: Path, targets: Sequence[str], formats: Mapping[str, str]) -> Iterator[Fault]:
    providers = [target.partition("/")[0] for target in targets]
    unknown = sorted({provider for provider in providers if provider not in formats})
    if unknown:
        yield _fault(path, f"targets: there is no provider {', '.join(unknown)}; set providers.{unknown[0]} first")
    elif len(spoken := sorted({formats[provider] for provider in providers})) > 1:
        yield _fault(
            path, f"targets speak {' and '.join(spoken)}, and a call cannot change its format: name targets of one"
        )


def _of_means(path: Path, model: ModelSettings) -> Iterator[Fault]:
    means = model.when_unavailable
    if len(set(means)) < len(means):
        yield _fault(path, "when_unavailable: says the same twice")
    for last in ("park", "fail"):
        if last in means[:-1] and means.index(last) < len(means) - 1:
            yield _fault(path, f"when_unavailable: nothing can come after {last}")
    if "cached" in means and model.cache is None:
        yield _fault(path, 'when_unavailable: cached needs answers that were kept: set cache, as in {"ttl": 3600}')


def _formats(providers: Mapping[str, ProviderSettings]) -> dict[str, str]:
    told = {name: provider.format for name, provider in providers.items() if provider.format is not None}
    return {**FIRST_PROVIDERS, **told}


def _fault(path: Path, message: str) -> Fault:
    return path, FieldError(canonical(path), message)
