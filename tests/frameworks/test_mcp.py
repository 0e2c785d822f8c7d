"""The example of an MCP server: its tools are journaled like any others."""

import msgspec

from dayshift.domain.task import Status
from dayshift.journal import unpack
from tests.frameworks.births import nursery
from tests.frameworks.examples import path_of
from tests.frameworks.killing import Plan
from tests.frameworks.runs import Stage


async def test_a_clock_that_was_read_is_not_read_again_by_a_later_attempt(house, provider):
    async with nursery(house, path_of("mcp_time")) as born:
        stage = Stage(house, provider, born, agent="clock")
        await stage.open()
        run = await stage.run(Plan("recorded", 2), Plan("recorded", 4), question="What time is it in Tokyo?")
    assert run.task.status is Status.SUCCEEDED, run.task.error
    assert (run.task.losses, run.task.failures) == (2, 0)
    assert [(effect.kind, effect.name) for effect in run.effects] == [
        ("llm", "chat gpt-5-mini"),
        ("tool", "get_current_time"),
        ("llm", "chat gpt-5-mini"),
        ("tool", "convert_time"),
        ("llm", "chat gpt-5-mini"),
    ]
    assert [effect.attempt for effect in run.effects] == [1, 1, 2, 2, 3]
    told = msgspec.json.decode(unpack(run.effects[3].result))
    assert told["target"]["datetime"][11:16] == "21:00"
    assert [call["n_answered"] for call in run.calls] == [1, 1, 1]
