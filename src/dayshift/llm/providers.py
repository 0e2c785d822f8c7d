"""The providers: those that exist from the start, at the addresses that their SDKs would use, and those of the settings."""

from collections.abc import Sequence

from dayshift.domain.settings import Settings
from dayshift.llm.capture import Address, Addresses
from dayshift.llm.formats import ANTHROPIC, OPENAI
from dayshift.llm.routing import Provider

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com"
_FORMATS = {"openai": OPENAI, "anthropic": ANTHROPIC}


def first_providers(*, openai_base_url: str | None, anthropic_base_url: str | None) -> tuple[Provider, ...]:
    """Those that no setting has to name; None stands for the provider's own address."""
    return (
        Provider(name="openai", family="openai", base_url=(openai_base_url or OPENAI_URL).rstrip("/")),
        Provider(name="anthropic", family="anthropic", base_url=(anthropic_base_url or ANTHROPIC_URL).rstrip("/")),
    )


def addresses_of(providers: Sequence[Provider]) -> Addresses:
    """Where calls go."""
    return Addresses([Address.of(one.name, one.base_url, _FORMATS[one.family]) for one in providers])


class KnownAddresses:
    """Where calls go by the settings that are in force. The first providers stay known where the settings move them: what goes to
    their own addresses is still a call of theirs.
    """

    def __init__(self, first: Sequence[Provider]) -> None:
        self._first = first
        self._addresses = addresses_of(first)

    def __call__(self) -> Addresses:
        return self._addresses

    def learn(self, settings: Settings) -> None:
        """These settings are in force now."""
        families = {provider.name: provider.family for provider in self._first}
        told = [
            Provider(name=name, family=family, base_url=said.base_url.rstrip("/"))
            for name, said in settings.providers.items()
            if said.base_url is not None and (family := said.format or families.get(name)) is not None
        ]
        self._addresses = addresses_of([*told, *self._first])
