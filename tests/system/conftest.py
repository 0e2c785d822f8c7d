from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.system.house import House, clean_environment

collect_ignore = ["openai_suite"]  # run by test_openai_suite.py, in a process of its own


@pytest.fixture
async def house(tmp_path: Path, migrated_database_url: str, valkey_url: str) -> AsyncIterator[House]:
    """A house on the test's own databases; not started yet."""
    environment = {
        **clean_environment(),
        "DAYSHIFT_DATABASE_URL": migrated_database_url,
        "DAYSHIFT_VALKEY_URL": valkey_url,
        "DAYSHIFT_DATA": str(tmp_path / "data"),
        "DAYSHIFT_HOST": "127.0.0.1",
        "DAYSHIFT_LOG": "json",
        "OPENAI_API_KEY": "not-used",
        "WITNESS": str(tmp_path / "witness.txt"),
    }
    made = House(tmp_path, environment)
    yield made
    await made.close()
