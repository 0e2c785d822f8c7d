import asyncio

import asyncpg
import pytest
from ledger_builders import accept, finish, new_task, new_worker, outcome_of, running, sql

from dayshift.domain.errors import LedgerAway, WrongUse
from dayshift.domain.task import Status
from dayshift.ledger import GroupCommit, Ledger, LedgerBusy, LedgerMisfit, Outcome
from dayshift.ledger.database import SESSION_SETTINGS, Database, _split_url

OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@h/db", ("postgresql://u@h/db", False)),
        ("postgresql://u@h/db?pgbouncer=true", ("postgresql://u@h/db", True)),
        ("postgresql://u@/db?host=/run/my%20dir&pgbouncer=false", ("postgresql://u@/db?host=/run/my+dir", False)),
        ("postgresql://u@h/db?sslmode=require&pgbouncer=1", ("postgresql://u@h/db?sslmode=require", True)),
    ],
)
def test_our_own_flag_is_taken_out_of_the_url(url, expected):
    assert _split_url(url) == expected


async def test_a_session_has_its_timeouts_and_generic_plans(database_url):
    database = Database(database_url)
    await database.open()
    async with database.connection() as connection:
        for name in SESSION_SETTINGS:
            shown = await connection.fetchval("SELECT current_setting($1)", name)
            assert shown in {SESSION_SETTINGS[name], SESSION_SETTINGS[name].removesuffix("000") + "s"}
    await database.close()
    await database.close()


async def test_through_pgbouncer_nothing_is_prepared_and_nothing_is_left_set(database_url):
    """One server session a transaction: what a statement leaves in its session belongs to a stranger afterwards."""
    async with Ledger(database_url + "?pgbouncer=true", pool_size=1) as ledger:
        worker = await new_worker(ledger)
        for _ in range(3):
            assert (await finish(ledger, await running(ledger, worker), worker)).status == Status.SUCCEEDED
        async with ledger.plane_state.rebuild_lock() as mine:
            assert mine
        with pytest.raises(LedgerBusy):
            await _collide(ledger, database_url)
        async with ledger._db.connection() as connection:
            assert await connection.fetchval("SHOW statement_timeout") == "0"
            assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0


async def _collide(ledger: Ledger, url: str) -> None:
    """Ask for a row that another session holds."""
    task_id = await accept(ledger)
    holder = await asyncpg.connect(url)
    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", task_id.removeprefix("task_"))
            await ledger._db.batch("cancel_task", task_id.removeprefix("task_"), "acme")
    finally:
        await holder.close()


async def test_a_row_held_by_another_is_busy_after_a_second(ledger, database_url):
    with pytest.raises(LedgerBusy):
        await _collide(ledger, database_url)


async def test_dead_connections_are_replaced_without_a_word(ledger, database_url):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    finishes = GroupCommit("finish", ledger.tasks.finish)
    for _ in range(3):
        await asyncio.gather(*[ledger.poll() for _ in range(8)])
        await sql(database_url, OTHERS)
        assert (await ledger.poll()).epoch == 0
    await asyncio.gather(*[ledger.poll() for _ in range(8)])
    await sql(database_url, OTHERS)
    assert (await finishes.submit(outcome_of(started, worker, Outcome.SUCCEEDED), 1)).accepted


@pytest.mark.by_url
async def test_batches_survive_connections_that_are_cut_again_and_again(ledger, database_url):
    group = GroupCommit("accept", ledger.tasks.accept, max_rows=20)
    stop = asyncio.Event()

    async def cut() -> None:
        killer = await asyncpg.connect(database_url)
        while not stop.is_set():
            await killer.fetch(OTHERS)
            await asyncio.sleep(0.1)
        await killer.close()

    cutter = asyncio.ensure_future(cut())
    tasks = [new_task(conversation=f"c{n % 7}", idempotency_key=f"k{n}", idempotency_hash=b"h") for n in range(300)]
    answers = await asyncio.gather(*[group.submit(task, 100) for task in tasks])
    stop.set()
    await cutter
    assert [answer.task_id for answer in answers] == [task.id for task in tasks]
    assert {answer.replay_of for answer in answers} == {None}
    rows = await sql(
        database_url, "SELECT count(*) AS n, (SELECT sum(unfinished) FROM conversations) AS counted FROM tasks"
    )
    assert (rows[0]["n"], rows[0]["counted"]) == (300, 300)


async def test_a_server_that_is_away_is_said_to_be():
    with pytest.raises(LedgerAway, match="DAYSHIFT_DATABASE_URL"):
        await Ledger("postgresql://postgres@127.0.0.1:1/none").open()


async def test_a_database_that_does_not_exist_and_a_ledger_that_is_not_open_are_wrong_use(database_url):
    with pytest.raises(LedgerMisfit, match="nowhere"):
        await Ledger(database_url.rpartition("/")[0] + "/nowhere").open()
    with pytest.raises(WrongUse, match="open"):
        await Ledger(database_url).poll()


async def test_an_old_schema_names_the_cure(empty_database_url):
    async with Ledger(empty_database_url) as ledger:
        with pytest.raises(LedgerMisfit, match="dayshift migrate"):
            await ledger.poll()
