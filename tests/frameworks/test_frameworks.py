"""Each framework's example: without dayshift, with it, and with its workers killed. All moments of all effects are met by
test_every_boundary.py.
"""

import os
import subprocess
import sys

import msgspec
import pytest

from tests.frameworks.births import nursery
from tests.frameworks.examples import FOLDER, NAMES, path_of, without_dayshift
from tests.frameworks.runs import Stage, check

KILLS = {"begun": [2], "answered": [8], "recorded": [11]}


@pytest.mark.parametrize("name", NAMES)
async def test_an_example_runs_without_dayshift_and_with_it_and_with_kills(house, provider, name, tmp_path):
    plain = plain_answer(name, tmp_path)
    async with nursery(house, path_of(name)) as born:
        stage = Stage(house, provider, born)
        await stage.open()
        undisturbed = await stage.run()
        check(undisturbed, undisturbed)
        assert plain.endswith(msgspec.json.decode(undisturbed.task.output))
        assert undisturbed.kinds.count("llm") >= 8
        assert undisturbed.kinds.count("tool") >= 4
        streamed = await stage.run("amid", [1], stream=True)
        check(streamed, undisturbed)
        for moment, numbers in KILLS.items():
            check(await stage.run(moment, numbers), undisturbed)


def plain_answer(name: str, folder) -> str:
    text = without_dayshift(name)
    assert "dayshift" not in text.split('"""')[2]
    plain = folder / f"{name}.py"
    plain.write_text(text)
    environment = {"PYTHONPATH": str(FOLDER)}
    done = subprocess.run(
        [sys.executable, plain], capture_output=True, text=True, env=os.environ | environment, check=True
    )
    return done.stdout.strip()
