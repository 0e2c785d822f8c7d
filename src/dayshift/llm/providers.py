"""The providers that exist from the start, at the addresses that their SDKs would use."""

from dayshift.llm.capture import Address, Addresses
from dayshift.llm.formats import ANTHROPIC, OPENAI

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com"


def known_addresses(*, openai_base_url: str | None, anthropic_base_url: str | None) -> Addresses:
    """Where calls go; None stands for the provider's own address."""
    return Addresses(
        [
            Address.of(openai_base_url or OPENAI_URL, OPENAI),
            Address.of(anthropic_base_url or ANTHROPIC_URL, ANTHROPIC),
        ]
    )
