"""Pinned tasks: once started, only workers of the same code version may go on with them."""

from ledger_builders import accept, finish, new_task, reason, sql, worker_row

from dayshift.domain.task import Place, Started, TaskError
from dayshift.ledger import Ledger, Outcome, StartWish

PINS = {version: {"echo": f"echo@{version}"} for version in ("v1", "v2")}


async def new_worker(ledger: Ledger, version: str, **fields) -> str:
    worker = worker_row(version=version, **fields)
    assert await ledger.workers.register(worker)
    return worker.id


async def start(ledger: Ledger, task_id: str, worker: str, version: str, *, pins: bool = True):
    wish = StartWish(task_id=task_id, worker_id=worker, version=version)
    (answer,) = await ledger.tasks.start([wish], PINS[version] if pins else {})
    return answer


async def begun(ledger: Ledger, worker: str, version: str = "v1", **fields) -> Started:
    started = await start(ledger, await accept(ledger, **fields), worker, version)
    assert isinstance(started, Started)
    return started


async def test_whoever_comes_first_may_start_it_and_then_it_is_claimed_by_that_version(ledger):
    old = await new_worker(ledger, "v1")
    task_id = await accept(ledger)
    assert (await ledger.tasks.place_of(task_id)).agent == "echo"
    started = await start(ledger, task_id, old, "v1")
    assert (started.claimed_as, started.place().agent) == ("echo@v1", "echo@v1")
    assert [place.agent for place in await ledger.tasks.running_of(old)] == ["echo@v1"]
    assert [place.agent for _, place in await ledger.tasks.running_by_live_workers()] == ["echo@v1"]
    await finish(ledger, started, old, Outcome.GIVEN_BACK)
    assert (await ledger.tasks.place_of(task_id)).agent == "echo@v1"
    assert await ledger.tasks.lanes_after(None, 9) == [("echo@v1", 5, "acme")]
    assert await ledger.tasks.lane_page("echo", 5, "acme", 0, 9) == []
    assert [place.id for place in await ledger.tasks.lane_page("echo@v1", 5, "acme", 0, 9)] == [task_id]
    assert [place.id for place in await ledger.tasks.heads_of_lanes([("echo@v1", 5, "acme")], 9)] == [task_id]


async def test_another_version_is_refused_and_told_where_it_stands(ledger):
    old, new, same = [await new_worker(ledger, version) for version in ("v1", "v2", "v1")]
    started = await begun(ledger, old)
    await finish(ledger, started, old, Outcome.RETRY, error=TaskError("agent_error", "x", retryable=True))
    for pins in (True, False):  # also where the newer code does not pin any more
        refused = await start(ledger, started.id, new, "v2", pins=pins)
        assert (reason(refused), refused.place) == (
            "wrong_version",
            Place(started.id, "echo@v1", 5, "acme", started.seq),
        )
    again = await start(ledger, started.id, same, "v1")
    assert (again.attempt, again.claimed_as) == (2, "echo@v1")


async def test_a_takeover_is_for_the_same_version_only(ledger):
    old, new, same = [await new_worker(ledger, version) for version in ("v1", "v2", "v1")]
    started = await begun(ledger, old)
    await ledger.workers.release(old, "died")
    assert reason(await start(ledger, started.id, new, "v2")) == "wrong_version"
    assert (await ledger.tasks.get(started.id, None)).losses == 0
    taken = await start(ledger, started.id, same, "v1")
    assert (taken.takeover, taken.losses) == (True, 1)


async def test_tasks_of_other_agents_are_nobodys(ledger):
    old, new = await new_worker(ledger, "v1"), await new_worker(ledger, "v2")
    started = await begun(ledger, old, agent="other")
    assert started.claimed_as is None
    await finish(ledger, started, old, Outcome.GIVEN_BACK)
    assert isinstance(await start(ledger, started.id, new, "v2"), Started)


async def test_what_is_to_be_cancelled_needs_no_version(ledger):
    old, new = await new_worker(ledger, "v1"), await new_worker(ledger, "v2")
    started = await begun(ledger, old)
    await ledger.tasks.cancel("acme", started.id)
    await ledger.workers.release(old, "died")
    assert reason(await start(ledger, started.id, new, "v2")) == "cancelled"


async def test_a_dead_letter_that_is_retried_may_start_anywhere_again(ledger):
    old, new = await new_worker(ledger, "v1"), await new_worker(ledger, "v2")
    started = await begun(ledger, old)
    await finish(ledger, started, old, Outcome.FAILED, error=TaskError("fatal", "x"))
    assert (await ledger.tasks.retry("acme", started.id)).agent == "echo"
    again = await start(ledger, started.id, new, "v2")
    assert (again.attempt, again.claimed_as) == (2, "echo@v2")


async def test_both_in_one_batch(ledger):
    old, new = await new_worker(ledger, "v1"), await new_worker(ledger, "v2")
    mine = await begun(ledger, old)
    await finish(ledger, mine, old, Outcome.GIVEN_BACK)
    fresh = new_task()
    await ledger.tasks.accept([fresh])
    wishes = [StartWish(task_id=one, worker_id=new, version="v2") for one in (mine.id, fresh.id)]
    assert [reason(answer) for answer in await ledger.tasks.start(wishes, PINS["v2"])] == ["wrong_version", "started"]


async def test_stranded_are_those_that_no_living_version_can_continue(ledger, database_url):
    old, new = await new_worker(ledger, "v1"), await new_worker(ledger, "v2")
    parked, queued, runs = [await begun(ledger, old) for _ in range(3)]
    await begun(ledger, new, "v2")
    await begun(ledger, old, agent="other")
    await sql(
        database_url,
        "UPDATE tasks SET status = 'waiting', worker_id = NULL, waiting_for = '{}' WHERE id = $1",
        parked.id.removeprefix("task_"),
    )
    await finish(ledger, queued, old, Outcome.GIVEN_BACK)
    await accept(ledger)  # not started yet
    assert await ledger.tasks.stranded() == []
    await ledger.workers.beat(
        old, 1, True, 0.0
    )  # it leaves: what it still runs may end there, the others may not go on
    assert [(one.agent, one.version, one.tasks, one.oldest) for one in await ledger.tasks.stranded()] == [
        ("echo", "v1", 2, parked.id)
    ]
    await ledger.workers.release(old, "died")
    assert [one.tasks for one in await ledger.tasks.stranded()] == [3]
    same = await new_worker(ledger, "v1", agents=["other"])
    assert [one.tasks for one in await ledger.tasks.stranded()] == [3]
    await ledger.workers.release(same, "died")
    same = await new_worker(ledger, "v1")
    assert await ledger.tasks.stranded() == []
    assert isinstance(await start(ledger, runs.id, same, "v1"), Started)
