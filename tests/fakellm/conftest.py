from collections.abc import Iterator

import pytest

from tests.fakellm.process import FakeProvider, fake_provider


@pytest.fixture(scope="package")
def _one_provider() -> Iterator[FakeProvider]:
    with fake_provider() as fake:
        yield fake


@pytest.fixture
def fake(_one_provider: FakeProvider) -> FakeProvider:
    """A provider without script, latency or counts."""
    _one_provider.restart()
    return _one_provider
