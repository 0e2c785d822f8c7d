"""A deploy under running tasks: newer code goes on with them, unless their agent is pinned."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dayshift.agents import LoadedAgents, load
from dayshift.domain.events import TasksStranded
from dayshift.domain.task import Status
from dayshift.maintenance import MaintenanceConfig
from dayshift.maintenance.stranded_gauge import StrandedGauge
from dayshift.telemetry import subscribe
from tests.worker.house import AGENTS, TENANT, House, opened, working


@pytest.fixture
def urls(database_url: str, valkey_url: str) -> tuple[str, str]:
    return database_url, valkey_url


@asynccontextmanager
async def deployed(urls: tuple[str, str], version: str) -> AsyncIterator[tuple[House, LoadedAgents]]:
    loaded = load(str(AGENTS), version=version)
    async with opened(House(*urls, version=version, pins=loaded.pins)) as house:
        yield house, loaded


async def test_a_pinned_task_is_only_continued_by_the_version_that_began_it(urls):
    told: list[TasksStranded] = []
    end = subscribe(TasksStranded, told.append)
    async with deployed(urls, "v1") as (old, v1), deployed(urls, "v2") as (new, v2):
        gauge = StrandedGauge(new.services, MaintenanceConfig())
        async with working(old, v1, grace_seconds=0.0):
            begun = await old.submit("stays", until=2)
            await old.event(begun, "begun")
        unbegun = await new.submit("stays", until=1)
        async with working(new, v2):
            assert (await new.finished(unbegun)).version == "v2"  # with many slots free, and the other one before it
            await gauge.run_once()
            task = await new.ledger.tasks.get(begun, None)
            assert (task.status, task.attempt, task.version) == (Status.QUEUED, 1, "v1")
            async with working(old, v1):
                task = await old.finished(begun)
                assert (task.status, task.attempt, task.version) == (Status.SUCCEEDED, 2, "v1")
                await gauge.run_once()
                await gauge.run_once()
    end()
    assert [(one.agent, one.versions, one.tasks) for one in told] == [("stays", ["v1"], 1), ("stays", [], 0)]


async def test_what_is_not_pinned_is_continued_by_the_newest_code(urls):
    async with deployed(urls, "v1") as (old, v1), deployed(urls, "v2") as (new, v2):
        async with working(old, v1, grace_seconds=0.0):
            task_id = await old.submit("waits_once")
            await old.event(task_id, "waiting")
        async with working(new, v2):
            task = await new.finished(task_id)
            assert (task.status, task.attempt, task.version) == (Status.SUCCEEDED, 2, "v2")


async def test_pinned_tasks_of_a_dead_worker_find_their_version_among_others(urls):
    """Both versions work; the lost task goes to the old one, whoever is asked first."""
    async with deployed(urls, "v1") as (old, v1), deployed(urls, "v2") as (new, v2), working(old, v1) as worker:
        begun = [await old.submit("stays", until=2) for _ in range(5)]
        await asyncio.gather(*(old.event(task_id, "begun") for task_id in begun))
        dead = worker.worker_id
        async with working(new, v2):
            await new.services.rescue.rescue_worker(dead, "lost", process_lives=True)
            tasks = [await new.finished(task_id) for task_id in begun]
    assert {(task.status, task.version, task.attempt, task.losses) for task in tasks} == {
        (Status.SUCCEEDED, "v1", 2, 1)
    }


async def test_a_pinned_task_that_is_parked_wakes_for_its_version(urls):
    async with deployed(urls, "v1") as (old, v1), deployed(urls, "v2") as (new, v2):
        async with working(old, v1):
            asks = await old.submit("stays_and_asks")
            await old.event(asks, "task.waiting")
        async with working(new, v2):
            await new.services.waking.signal(TENANT, asks, "approval", b'"yes"', None)
            fresh = await new.submit("stays", until=1)
            assert (await new.finished(fresh)).version == "v2"
            task = await new.ledger.tasks.get(asks, None)
            assert (task.status, task.attempt) == (Status.QUEUED, 1)
            async with working(old, v1):
                task = await old.finished(asks)
    assert (task.status, task.attempt, task.version, bytes(task.output)) == (Status.SUCCEEDED, 2, "v1", b'"yes"')
