"""A pinned task on its way: whoever may not run it says where it belongs."""

from collections.abc import AsyncIterator

import pytest

from dayshift.domain import ids
from dayshift.domain.task import Started, TaskError
from dayshift.ledger import StartRefusal
from dayshift.tasks import Outcome, Services

from .conftest import AGENT, TENANT, Hands, House, opened


class Pinned(Hands):
    """A worker of a version that pins the agent."""

    async def claim(self, count: int = 1) -> list[str]:
        names = [(AGENT, -1), *((name, -1) for name in self.house.pins.values())]
        claim = await self.house.plane.claim(self.id, ids.new("claim_"), names, count)
        for lane in claim.refill:
            await self.house.services.refill.refill(lane)
        return claim.task_ids


class Version(House):
    """A process of one code version."""

    def __init__(self, database_url: str, valkey_url: str, version: str) -> None:
        super().__init__(database_url, valkey_url)
        self.pins = {AGENT: f"{AGENT}@{version}"}
        self.services = Services(self.ledger, self.plane, lambda: self.settings, version=version, pins=self.pins)


@pytest.fixture
async def old(ready_database_url: str, valkey_url: str) -> AsyncIterator[Pinned]:
    async with opened(Version(ready_database_url, valkey_url, "v1")) as house:
        assert await house.services.rebuild.rebuild_if_lost()
        yield await Pinned(house).register()


@pytest.fixture
async def new(old: Pinned, ready_database_url: str, valkey_url: str) -> AsyncIterator[Pinned]:
    async with opened(Version(ready_database_url, valkey_url, "v2")) as house:
        yield await Pinned(house).register()


async def begun(hands: Pinned, **said: object) -> Started:
    await hands.house.submit(**said)
    await hands.house.told()
    (task_id,) = await hands.claim_within(5)
    started = await hands.start(task_id)
    assert isinstance(started, Started)
    return started


async def test_the_tasks_of_a_dead_worker_wait_for_its_version(old: Pinned, new: Pinned) -> None:
    started = await begun(old)
    await new.house.services.rescue.rescue_worker(old.id, "died")
    assert await new.claim(5) == []
    other = await Pinned(old.house).register()
    assert await other.claim(5) == [started.id]


async def test_whoever_is_refused_sends_it_to_its_own_version(old: Pinned, new: Pinned) -> None:
    """The plane did not know yet: it had been announced before it was begun."""
    started = await begun(old)
    await new.house.ledger.workers.release(old.id, "died")
    await new.house.plane.release_worker(old.id)  # and here the rescue dies: it is back in the line that it came from
    assert await new.claim(5) == [started.id]
    refused = await new.start(started.id)
    assert isinstance(refused, StartRefusal)
    assert refused.reason == "wrong_version"
    await new.house.told()
    assert await new.claim(5) == []
    other = await Pinned(old.house).register()
    (task_id,) = await other.claim_within(5, 5)
    taken = await other.start(task_id)
    assert isinstance(taken, Started)
    assert taken.takeover


@pytest.mark.parametrize("way", ["announced", "rebuilt", "in a conversation"])
async def test_a_retry_is_queued_for_its_version_whichever_way(old: Pinned, new: Pinned, way: str) -> None:
    said = {"conversation": "c"} if way == "in a conversation" else {}
    started = await begun(old, **said)
    retry = Outcome(kind="retry", error=TaskError("agent_error", "x", retryable=True))
    await old.house.services.finishing.finish(started, old.id, retry)
    await old.house.told()
    if way == "rebuilt":
        await old.house.plane._wire.ask(b"FLUSHALL")
        assert await new.house.services.rebuild.rebuild_if_lost()
    else:
        await new.house.services.announce.heads()
    assert await new.claim(5) == []
    await old.house.services.pulse.beat()
    assert await old.claim_within(5, 5) == [started.id]


async def test_a_dead_letter_that_is_retried_is_anybodys(old: Pinned, new: Pinned) -> None:
    started = await begun(old)
    failed = Outcome(kind="failed", error=TaskError("fatal", "x"))
    await old.house.services.finishing.finish(started, old.id, failed)
    await old.house.services.control.retry(started.id, TENANT)
    await old.house.told()
    assert await new.claim_within(5) == [started.id]
    again = await new.start(started.id)
    assert isinstance(again, Started)
    assert again.claimed_as == f"{AGENT}@v2"
