"""The official Python client's own tests of Responses (openai_suite/), against a real `dayshift run` with one agent that takes anything."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.system.house import House

pytestmark = pytest.mark.system

SUITE = Path(__file__).with_name("openai_suite")
AGENT = '''
from dayshift import agent


@agent
async def anything(input: str = "") -> str:
    """Answers whatever is asked."""
    return f"You said {input!r}."
'''


async def test_the_official_clients_own_suite_passes(house: House, tmp_path: Path) -> None:
    file = tmp_path / "anything.py"
    file.write_text(AGENT)
    await house.start("run", str(file))
    await house.until(lambda: house.has_workers(1), "a worker")
    suite = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pytest",
        "-q",
        cwd=SUITE,
        env={
            **house.environment,
            "TEST_API_BASE_URL": f"{house.url}/v1",
            "SEED_DATABASE_URL": house.environment["DAYSHIFT_DATABASE_URL"],
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(suite.communicate(), 100)
    said = out.decode()
    assert suite.returncode == 0, said[-8000:]
    assert re.search(r"\b155 passed, 20 deselected\b", said), said[-8000:]
