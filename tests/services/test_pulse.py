"""What changed reaches a process within a beat, and no listener's fault stops the pulse."""

import asyncio

import msgspec
import pytest

from dayshift.domain.errors import InvalidInput
from dayshift.ledger import AgentRow, Ledger
from dayshift.tasks import TaskRequest
from dayshift.tasks.agents_known import AgentsKnown
from dayshift.tasks.background import Background
from dayshift.tasks.pulse import Pulse

from .conftest import SCHEMA, TENANT, House


async def test_each_number_is_told_once_and_again_when_it_changes(house: House) -> None:
    told: list[tuple[str, int]] = []

    def telling(name: str):
        async def tell(number: int) -> None:
            told.append((name, number))

        return tell

    pulse = Pulse(house.ledger, Background())
    for name in ("settings", "keys", "registry", "epoch"):
        getattr(pulse, f"on_{name}")(telling(name))
    await pulse.beat()
    assert [name for name, _ in told] == ["keys", "settings", "registry", "epoch"]
    await pulse.beat()
    assert len(told) == 4
    await house.ledger.registry.register([_agent("newcomer")])
    await pulse.beat()
    assert [name for name, _ in told[4:]] == ["registry"]


async def test_a_callback_that_fails_is_told_again(house: House) -> None:
    calls: list[int] = []

    async def fail_once(number: int) -> None:
        calls.append(number)
        if len(calls) == 1:
            raise RuntimeError("once")

    pulse = Pulse(house.ledger, Background())
    pulse.on_settings(fail_once)
    for _ in range(3):
        await pulse.beat()
    assert len(calls) == 2


async def test_a_listener_that_hangs_holds_up_neither_the_keys_nor_the_next_beat(house: House) -> None:
    told: list[str] = []

    async def hang(_number: int) -> None:
        told.append("settings")
        await asyncio.Event().wait()

    async def keys(_number: int) -> None:
        told.append("keys")

    pulse = Pulse(house.ledger, Background(), patience_seconds=0.05)
    pulse.on_settings(hang)
    pulse.on_keys(keys)
    async with asyncio.timeout(10):
        await pulse.beat()
        await pulse.beat()
    assert told == ["keys", "settings", "settings"]


async def test_a_kick_beats_at_once(house: House) -> None:
    beats: asyncio.Queue[None] = asyncio.Queue()

    async def count() -> None:
        beats.put_nowait(None)

    background = Background()
    pulse = Pulse(house.ledger, background, interval_seconds=3_600)
    pulse.on_beat(count)
    pulse.open()
    async with asyncio.timeout(5):
        await beats.get()
        pulse.kick()
        await beats.get()
    await pulse.close()
    await pulse.close()


async def test_an_agent_that_was_registered_a_moment_ago_is_known(house: House) -> None:
    def request(agent: str) -> TaskRequest:
        return TaskRequest(agent=agent, input=msgspec.Raw(b'{"text":"x"}'))

    with pytest.raises(InvalidInput) as caught:
        await house.services.intake.submit(request("newcomer"), tenant=TENANT)
    assert caught.value.code == "unknown_agent"
    assert "registered: echo. A worker registers the agents of its file when it is up" in caught.value.message
    await house.ledger.registry.register([_agent("newcomer")])
    receipt = await house.services.intake.submit(request("newcomer"), tenant=TENANT)
    assert receipt.task.queue == "newcomers"


async def test_before_any_worker_is_up_it_is_said_what_to_do(migrated_database_url: str) -> None:
    async with Ledger(migrated_database_url, pool_size=1) as ledger:
        await ledger.registry.register([_agent("dayshift.webhook")])  # ours, and of no use to who asks
        with pytest.raises(InvalidInput) as caught:
            await AgentsKnown(ledger).find("echo")
    assert caught.value.message == (
        "no agent is named 'echo'; registered: none yet. A worker registers the agents of its file when it is up: "
        "start one that has this agent, or try again if it is just starting"
    )


def _agent(name: str) -> AgentRow:
    return AgentRow(name=name, version="v1", queue="newcomers", input_schema=SCHEMA, output_schema=b"{}")
