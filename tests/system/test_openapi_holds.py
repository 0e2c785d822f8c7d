"""`/openapi.json` says what is: schemathesis with all checks and phases against a real `dayshift run`, as a user and as an administrator.

The seed and the number of examples are fixed, so this is the same run each time; CONTRIBUTING.md says how to look longer.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.system.house import House

pytestmark = pytest.mark.system

CONFIG = Path(__file__).with_name("schemathesis.toml")
PARTS = ["^/a2a/[^/]+$|:", "^/a2a/[^/]+/[^:]+$", "^/(?!a2a)"]  # side by side: to call an agent unknown takes 0.1 s
AGENTS = '''
from dayshift import Context, agent


@agent
async def echo(ctx: Context, text: str) -> str:
    """Says it again."""
    return text


@agent
async def asks(ctx: Context, text: str) -> str:
    """Waits for somebody."""
    return str(await ctx.wait_for("approval", timeout=3600))


@agent(max_attempts=1)
async def breaks(ctx: Context, text: str) -> str:
    """Cannot."""
    raise RuntimeError("no")
'''


async def test_the_description_holds_for_users_and_administrators(house: House, tmp_path: Path) -> None:
    file = tmp_path / "agents.py"
    file.write_text(AGENTS)
    await house.start("run", str(file))
    await house.until(lambda: house.has_workers(1), "a worker")
    user = await house.make_key("acme")
    administrator = await house.make_key("house", scope="admin")
    await asyncio.gather(*(_hold(house, key, paths) for key in (user, administrator) for paths in PARTS))


async def _hold(house: House, key: str, paths: str) -> None:
    looking = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
        *("run", f"{house.url}/openapi.json", "-H", f"Authorization: Bearer {key}"),
        *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure"),
        *("--seed", "1", "--max-examples", "3", "--include-path-regex", paths, "--warnings", "off", "--no-color"),
        cwd=house.folder,  # where it leaves a cache
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(looking.communicate(), 200)
    assert looking.returncode == 0, out.decode()[-16_000:]
