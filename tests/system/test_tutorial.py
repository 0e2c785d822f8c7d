"""The tutorial about killing a worker, done as it is written: its agent, its commands, and what it says of their output."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.fakellm.process import fake_provider
from tests.system.house import House

pytestmark = pytest.mark.system
TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "kill-it.md"
CITIES = ["Lisbon", "Madrid", "Lyon", "Turin", "Vienna", "Prague"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)


async def test_it_goes_as_it_is_told(house: House, tmp_path: Path) -> None:
    [agent] = blocks("python")
    provider_starts, run_starts, *commands = blocks("sh")
    assert (provider_starts, run_starts.splitlines()[-1]) == (
        "dayshift fakellm --port 9900 --latency 3\n",
        "dayshift run journey.py",
    )
    folder = tmp_path / "journey"
    folder.mkdir()
    (folder / "journey.py").write_text(agent)
    with fake_provider("--latency", "3") as provider:
        house.environment |= {"OPENAI_BASE_URL": f"{provider.url}/v1", "OPENAI_API_KEY": "none"}
        house.environment["PATH"] = f"{Path(sys.executable).parent}:{house.environment['PATH']}"
        await house.start("run", "journey.py", folder=folder)
        await house.until(lambda: house.has_workers(1), "a worker")
        said = await shell("".join(commands), house, {"8700": house.url, "9900": provider.url}, folder)
    assert said.count("replayed to attempt 2") == 4
    assert "attempt 2: 8 effects, 4 replayed to it" in said
    assert "no word of its end: its worker was lost, or gave it back" in said
    assert (folder / "bookings.txt").read_text().split() == CITIES
    assert re.findall(r'"n_answered": (\d)', said) == ["1"] * 6
    assert re.findall(r"seeing in (\w+)\?", said) == CITIES
    assert re.search(r"^failures +0\nlosses +1$", said, re.MULTILINE)


async def shell(script: str, house: House, urls: dict[str, str], folder: Path) -> str:
    """The commands in one shell, with our ports for the tutorial's."""
    for port, url in urls.items():
        script = script.replace(f"localhost:{port}", url.removeprefix("http://"))
    process = await asyncio.create_subprocess_exec(
        "bash", "-euc", script, cwd=folder, env=house.environment, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, out.decode()
    return out.decode()
