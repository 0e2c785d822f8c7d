"""The same promises where a framework runs in threads, or on an event loop of its own."""

from pathlib import Path

import pytest

from tests.frameworks.births import nursery
from tests.frameworks.killing import Plan
from tests.frameworks.runs import Stage, check

FORMS = Path(__file__).with_name("plain_forms.py")
KILLS = (Plan("begun", 2), Plan("begun", 3), Plan("answered", 8), Plan("recorded", 11), Plan("before", 13))
AGENTS = ("plain_graph", "graph_of_plain_nodes", "plain_desk", "plain_front_desk")


@pytest.mark.every_boundary
@pytest.mark.parametrize("name", AGENTS)
async def test_a_plain_form_goes_on_where_it_was(house, provider, name):
    async with nursery(house, FORMS) as born:
        stage = Stage(house, provider, born, agent=name)
        await stage.open()
        undisturbed = await stage.run()
        check(undisturbed, undisturbed)
        check(await stage.run(*KILLS), undisturbed)
