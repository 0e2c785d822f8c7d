import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakellm.process import FakeProvider, fake_provider
from tests.frameworks.examples import PLOT
from tests.worker.house import House, opened

# Long enough for a worker to be killed while its call is open; the tokens of a stream are spread over it.
PACE = ("--latency", "0.06", "--first-token-latency", "0.02")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeProvider]:
    """A model that follows the plot of the examples, where every SDK looks for one; and a shop's book to write in."""
    with fake_provider("--script", str(PLOT), *PACE) as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url)
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
            monkeypatch.setenv(name, "none")
        monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", "1")  # it would go to OpenAI, over the internet
        monkeypatch.setenv("SHOP_BOOK", str(tmp_path / "book.jsonl"))
        monkeypatch.setenv("NURSERY_LOG", str(tmp_path / "workers.log"))
        yield provider


@pytest.fixture
async def house(migrated_database_url: str, valkey_url: str) -> AsyncIterator[House]:
    async with opened(House(migrated_database_url, valkey_url)) as house:
        yield house


_FIGURES: list[dict[str, Any]] = []


@pytest.fixture
def record_figures() -> Callable[..., None]:
    """Takes what a run came to; told at the end, a line each."""
    return lambda **named: _FIGURES.append(named)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for figures in _FIGURES:
        terminalreporter.write_line(json.dumps(figures))
