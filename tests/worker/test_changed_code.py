"""The agent's code changes while a task runs: the next attempt does what is new, and nothing that was done before."""

import asyncio
import signal
from pathlib import Path

import pytest

from dayshift.domain.task import Status
from tests.worker.test_lost_leases import end_processes, until_listed

HEAD = """
import asyncio
from pathlib import Path

from dayshift import Context, agent, current


async def done(ctx: Context, log: str, act: str) -> str:
    with Path(log).open("a") as file:
        file.write(f"{current().attempt} {act}\\n")
    return act


async def waits_for_the_door(log: str) -> None:
    while not Path(log).with_name("door").exists():
        await asyncio.sleep(0.02)
"""
STEP = """

async def {name}(log: str) -> str:
    return await done(current(), log, "{name}")
"""
AGENT = """

@agent
async def changes(ctx: Context, log: str) -> list[str]:
    results = []
"""
WAITS = "    await ctx.step(waits_for_the_door, log)\n"
RETURNS = "    return results\n"


def code(steps: str) -> str:
    """An agent that does these steps, a letter each; `|` is a door that opens later."""
    names = sorted(set(steps) - {"|"})
    body = [WAITS if step == "|" else f"    results.append(await ctx.step({step}, log))\n" for step in steps]
    return HEAD + "".join(STEP.format(name=name) for name in names) + AGENT + "".join(body) + RETURNS


@pytest.mark.parametrize(
    ("after", "done_again", "differing"),
    [
        pytest.param("abc|d", "d", {}, id="unchanged"),
        pytest.param("aBc|d", "Bd", {"B": "b"}, id="renamed"),
        pytest.param("axbc|d", "xd", {}, id="inserted"),
        pytest.param("ac|d", "d", {"waits_for_the_door": "b"}, id="removed"),
        pytest.param("cba|d", "d", {}, id="swapped"),
        pytest.param("abc|bd", "bd", {}, id="repeated"),
    ],
)
async def test_only_what_changed_is_run(house, tmp_path, after, done_again, differing):
    house.agents, log, door = tmp_path / "changing_agents.py", tmp_path / "log", tmp_path / "door"
    house.agents.write_text(code("abc|d"))
    workers = [house.start_process()]
    try:
        await until_listed(house, 1)
        task_id = await house.submit("changes", log=str(log))
        await until_recorded(house, task_id, 3)
        house.agents.write_text(code(after))
        [row] = await house.ledger.workers.list()
        workers[0].send_signal(signal.SIGKILL)
        workers[0].wait()
        await house.services.rescue.rescue_worker(row.id, "killed")
        door.touch()
        workers.append(house.start_process())
        task = await house.finished(task_id)
    finally:
        end_processes(workers)
    assert (task.status, task.attempt, task.failures) == (Status.SUCCEEDED, 2, 0)
    assert bytes(task.output) == b"[" + b",".join(f'"{step}"'.encode() for step in after if step != "|") + b"]"
    assert acts(log, 1) == "abc"
    assert acts(log, 2) == done_again
    assert await differences(house, task_id) == differing


async def until_recorded(house, task_id: str, count: int) -> None:
    async with asyncio.timeout(20):
        while len(await house.ledger.effects.of_task(task_id)) < count:
            await asyncio.sleep(0.02)


def acts(log: Path, attempt: int) -> str:
    lines = [line.split() for line in log.read_text().splitlines()]
    return "".join(act for number, act in lines if int(number) == attempt)


async def differences(house, task_id: str) -> dict[str, str]:
    """What was done instead of what, as far as that was not asked for after all."""
    effects = {effect.id: effect for effect in await house.ledger.effects.of_task(task_id)}
    found = {}
    for effect in effects.values():
        older = effects[effect.differs.effect] if effect.differs is not None else None
        if older is not None and (older.replayed_by or 0) < effect.attempt:
            found[effect.name] = older.name
    return found
