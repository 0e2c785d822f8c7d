import pytest
from ledger_builders import accept, finish, new_task, new_worker, running, sql, start

from dayshift.domain import ids
from dayshift.ledger import Outcome


async def aged(url: str, task_id: str, seconds: float) -> None:
    await sql(url, "UPDATE tasks SET run_at = now() - $2 * interval '1 second' WHERE id = $1", task_id[5:], seconds)


async def test_a_place_says_whose_turn_it_is_and_nothing_more(ledger):
    task = new_task(priority=3, tenant="globex", agent="writer")
    (accepted,) = await ledger.tasks.accept([task])
    place = await ledger.tasks.place_of(task.id)
    assert (place.id, place.agent, place.priority, place.tenant) == (task.id, "writer", 3, "globex")
    assert (place.seq, place.run_at_ms) == (accepted.seq, 0)
    worker = await new_worker(ledger)
    await start(ledger, task.id, worker)
    assert await ledger.tasks.place_of(task.id) is None
    assert await ledger.tasks.place_of(ids.new(ids.TASK)) is None


async def test_a_lane_is_paged_in_order_without_delayed_tasks_and_followers(ledger):
    lane = [await accept(ledger) for _ in range(5)]
    await accept(ledger, delay_seconds=60)
    await accept(ledger, priority=6)
    await accept(ledger, tenant="globex")
    head, _ = [await accept(ledger, conversation="c") for _ in range(2)]
    page = await ledger.tasks.lane_page("echo", 5, "acme", 0, 3)
    assert [place.id for place in page] == lane[:3]
    rest = await ledger.tasks.lane_page("echo", 5, "acme", page[-1].seq + 1, 10)
    assert [place.id for place in rest] == [*lane[3:], head]


async def test_lanes_are_paged_by_name(ledger):
    for tenant, priority, agent in (("b", 5, "x"), ("a", 5, "x"), ("a", 9, "w"), ("a", 4, "x"), ("a", 5, "x")):
        await accept(ledger, tenant=tenant, priority=priority, agent=agent)
    await start(ledger, await accept(ledger, tenant="runs"), await new_worker(ledger))
    lanes = [("w", 9, "a"), ("x", 4, "a"), ("x", 5, "a"), ("x", 5, "b")]
    assert await ledger.tasks.lanes_after(None, 10) == lanes
    assert await ledger.tasks.lanes_after(None, 3) == lanes[:3]
    assert await ledger.tasks.lanes_after(lanes[2], 3) == lanes[3:]
    assert await ledger.tasks.lanes_after(lanes[3], 3) == []


@pytest.mark.by_url
async def test_heads_of_lanes_are_the_first_ready_tasks_of_each(ledger):
    flood = [await accept(ledger, tenant="flood") for _ in range(4)]
    other = await accept(ledger, tenant="other", priority=7)
    await accept(ledger, tenant="other", priority=7, delay_seconds=60)
    asked = [("echo", 7, "other"), ("echo", 5, "nobody"), ("echo", 5, "flood")]
    assert [place.id for place in await ledger.tasks.heads_of_lanes(asked, 3)] == [other, *flood[:3]]
    assert await ledger.tasks.heads_of_lanes([], 3) == []


async def test_announceable_finds_what_has_been_ready_for_that_long(ledger, database_url):
    young, middle, oldest, follower = [await accept(ledger, conversation=c) for c in (None, None, "c", "c")]
    for task_id, seconds in ((young, 0.5), (middle, 5), (oldest, 30), (follower, 30)):
        await aged(database_url, task_id, seconds)
    assert [place.id for place in await ledger.tasks.announceable(2, 60, 10)] == [oldest, middle]
    assert [place.id for place in await ledger.tasks.announceable(2, 60, 1)] == [oldest]
    assert [place.id for place in await ledger.tasks.announceable(0, 20, 10)] == [middle, young]


async def test_delayed_tasks_are_paged_by_the_time_they_are_due(ledger):
    tasks = [await accept(ledger, delay_seconds=seconds) for seconds in (30, 10, 20, 10, 900)]
    await accept(ledger)
    seen = []
    after = None
    while page := await ledger.tasks.delayed_page(600, 1, after):
        after = page[-1]
        assert after.run_at_ms > 0
        seen.append(after.id)
    assert seen == [tasks[n] for n in (1, 3, 2, 0)]


async def test_delayed_tasks_that_became_due_lately_are_paged_first(ledger, database_url):
    lately, long_ago, later = [await accept(ledger, delay_seconds=10) for _ in range(3)]
    await aged(database_url, lately, 2)
    await aged(database_url, long_ago, 90)
    assert [place.id for place in await ledger.tasks.delayed_page(600, 10)] == [later]
    since = await ledger.tasks.delayed_page(600, 10, since_seconds=60)
    assert [place.id for place in since] == [lately, later]
    assert since[0].run_at_ms > 0


async def test_running_tasks_are_listed_by_worker_and_only_of_live_ones(ledger):
    one, two = await new_worker(ledger), await new_worker(ledger)
    mine = [(await running(ledger, one)).id for _ in range(3)]
    other = (await running(ledger, two)).id
    assert [place.id for place in await ledger.tasks.running_of(one)] == mine
    assert {(worker, place.id) for worker, place in await ledger.tasks.running_by_live_workers()} == {
        *((one, task_id) for task_id in mine),
        (two, other),
    }
    await ledger.workers.release(one, "died")
    assert [worker for worker, _ in await ledger.tasks.running_by_live_workers()] == [two]


async def test_depths_count_by_queue_and_tenant(ledger, database_url):
    assert await ledger.tasks.depths() is None
    assert await ledger.tasks.measure_depths()
    assert (await ledger.tasks.depths()).rows == []
    worker = await new_worker(ledger)
    ready = [await accept(ledger) for _ in range(3)]
    await accept(ledger, delay_seconds=60)
    await running(ledger, worker)
    await finish(ledger, await running(ledger, worker), worker)
    await accept(ledger, tenant="globex", queue="fast")
    await aged(database_url, ready[0], 42)
    assert await ledger.tasks.measure_depths()
    depths = await ledger.tasks.depths()
    rows = {(row.queue, row.tenant): row for row in depths.rows}
    assert set(rows) == {("default", "acme"), ("fast", "globex")}
    acme = rows["default", "acme"]
    assert (acme.ready, acme.delayed, acme.running, acme.waiting) == (3, 1, 1, 0)
    assert 42 <= acme.oldest_seconds < 60
    assert 0 <= depths.age_seconds < 10
    await sql(database_url, "DELETE FROM tasks WHERE queue = 'fast'")
    await ledger.tasks.measure_depths()
    assert {row.queue for row in (await ledger.tasks.depths()).rows} == {"default"}


async def test_one_process_counts_at_a_time(ledger):
    async with ledger._db.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(229070872)")
        assert not await ledger.tasks.measure_depths()
    assert await ledger.tasks.depths() is None
    assert await ledger.tasks.measure_depths()


async def test_a_retried_task_stays_at_its_lines_head(ledger):
    worker = await new_worker(ledger)
    first, second = [await accept(ledger) for _ in range(2)]
    await finish(ledger, await start(ledger, first, worker), worker, Outcome.RETRY)
    assert [place.id for place in await ledger.tasks.lane_page("echo", 5, "acme", 0, 10)] == [first, second]
