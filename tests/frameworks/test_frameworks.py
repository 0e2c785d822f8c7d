"""Each framework's example: without dayshift, with it, and with its workers killed. All moments of all effects are met by
test_every_boundary.py.
"""

import msgspec
import pytest

from tests.frameworks.births import nursery
from tests.frameworks.examples import NAMES, path_of
from tests.frameworks.killing import Plan
from tests.frameworks.runs import Stage, check

KILLS = (Plan("amid", 1), Plan("begun", 2), Plan("answered", 8), Plan("recorded", 11), Plan("before", 13))


@pytest.mark.parametrize("name", NAMES)
async def test_an_example_runs_without_dayshift_and_with_it_and_with_kills(house, provider, name):
    async with nursery(house, path_of(name), "--plainly") as born:
        plain = await born.plain_answers()
        stage = Stage(house, provider, born)
        await stage.open()
        undisturbed = await stage.run()
        check(undisturbed, undisturbed)
        assert plain == [msgspec.json.decode(undisturbed.task.output)] * 2
        assert undisturbed.kinds.count("llm") >= 8
        assert undisturbed.kinds.count("tool") >= 4
        check(await stage.run(*KILLS, stream=True), undisturbed)
