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


@pytest.mark.by_url
async def test_heads_for_rebuild_serve_every_lane_before_any_lanes_second(ledger):
    flood = [await accept(ledger, tenant="flood") for _ in range(6)]
    others = [await accept(ledger, tenant=f"t{n}", priority=n, agent=f"a{n % 2}") for n in range(5)]
    await accept(ledger, tenant="delayed", delay_seconds=60)
    heads = await ledger.tasks.heads_for_rebuild(3, 100)
    places = heads.places
    assert {place.id for place in places[:6]} == {flood[0], *others}
    assert [place.id for place in places[6:]] == flood[1:3]
    assert (heads.a_lane, heads.is_cut_off) == (3, False)
    cut_off = await ledger.tasks.heads_for_rebuild(3, 4)
    assert (len(cut_off.places), cut_off.is_cut_off) == (4, True)


async def test_with_many_lanes_heads_for_rebuild_reads_an_even_share_of_each(ledger):
    for tenant in ("a", "b", "c", "d"):
        lane = [new_task(tenant=tenant) for _ in range(5 if tenant != "d" else 1)]
        await ledger.tasks.accept(lane)
    heads = await ledger.tasks.heads_for_rebuild(5, 11)
    assert heads.a_lane == 2
    assert [place.tenant for place in heads.places] == ["a", "b", "c", "d", "a", "b", "c"]
    assert not heads.is_cut_off
    narrow = await ledger.tasks.heads_for_rebuild(5, 3)
    assert (narrow.a_lane, [place.tenant for place in narrow.places]) == (1, ["a", "b", "c"])


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
