"""`make frameworks`: each framework, streaming and not, killed at every moment of every effect in turn.

A task is killed at one moment of all its effects, one after the other; so between two of its losses an effect is recorded, as
a worker that dies twice amid the same one is taken for the victim of a poisonous task.
"""

import time

import msgspec
import pytest

from tests.frameworks.births import nursery
from tests.frameworks.examples import NAMES, path_of
from tests.frameworks.killing import MOMENTS, Plan
from tests.frameworks.runs import Run, Stage, check

AT_ONCE = "My order A-17 came broken. Do at once all that you can."

pytestmark = [pytest.mark.every_boundary, pytest.mark.timeout(900)]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", NAMES)
async def test_killed_at_every_boundary_in_turn(house, provider, name, streams, record_figures):
    began_mono = time.monotonic()
    async with nursery(house, path_of(name), "--plainly") as born:
        await born.plain_answers()
        stage = Stage(house, provider, born)
        await stage.open()
        undisturbed = await stage.run(stream=streams)
        runs: list[Run] = []
        for moment in MOMENTS:
            numbers = _numbers_of(moment, undisturbed, streams=streams)
            run = await stage.run(*(Plan(moment, number) for number in numbers), stream=streams)
            check(run, undisturbed)
            runs.append(run)
    record_figures(
        example=name,
        streams=streams,
        output=msgspec.json.decode(undisturbed.task.output),
        llm_calls=undisturbed.kinds.count("llm"),
        tool_calls=undisturbed.kinds.count("tool"),
        kills=sum(len(run.killed) for run in runs),
        answered_but_not_recorded=sum(run.paid_again for run in runs),
        seconds=round(time.monotonic() - began_mono, 1),
    )


@pytest.mark.parametrize("name", NAMES)
async def test_killed_amid_tools_that_run_side_by_side(house, provider, name):
    """A task for each kill, as two amid the same tools would bring it under suspicion."""
    async with nursery(house, path_of(name), "--plainly") as born:
        await born.plain_answers()
        stage = Stage(house, provider, born)
        await stage.open()
        undisturbed = await stage.run(question=AT_ONCE)
        check(undisturbed, undisturbed)
        tools = [number for number, kind in enumerate(undisturbed.kinds, start=1) if kind == "tool"]
        assert len(tools) == 3
        for moment in ("before", "begun", "answered", "recorded"):
            for number in tools:
                check(await stage.run(Plan(moment, number), question=AT_ONCE), undisturbed, side_by_side=True)


def _numbers_of(moment: str, undisturbed: Run, *, streams: bool) -> list[int]:
    """The effects that have such a moment."""
    numbers = range(1, len(undisturbed.kinds) + 1)
    if moment == "amid":
        return [number for number in numbers if undisturbed.kinds[number - 1] == "llm"] if streams else []
    if moment == "before":
        return [*numbers, len(numbers) + 1]
    return list(numbers)
