import asyncio
import sys

import asyncpg
import pytest
from ledger_builders import sql

from dayshift.domain.errors import WrongUse
from dayshift.ledger import Ledger
from dayshift.ledger.database import Database
from dayshift.ledger.migrate import Migration, load, migrate, schema_state

PRE = Migration("0001_pre_things", "CREATE TABLE things (old int)")
POST = Migration("0002_post_things", "ALTER TABLE things DROP COLUMN old")
NEXT = Migration("0003_pre_more", "CREATE TABLE more (n int)")


@pytest.fixture
async def database(empty_database_url):
    opened = Database(empty_database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.mark.by_url
async def test_an_empty_database_becomes_current_and_stays_so(empty_database_url):
    async with Ledger(empty_database_url) as ledger:
        assert await ledger.schema_state() == "behind"
        assert await ledger.migrate() == [step.name for step in load()]
        assert await ledger.schema_state() == "current"
        assert await ledger.migrate() == []


async def test_many_that_start_at_once_migrate_once(empty_database_url):
    code = (
        "import asyncio, sys; from dayshift.ledger import Ledger\n"
        "async def main():\n"
        "    async with Ledger(sys.argv[1]) as ledger:\n"
        "        print(len(await ledger.migrate()))\n"
        "asyncio.run(main())"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, empty_database_url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]

    async def in_this_process() -> int:
        async with Ledger(empty_database_url) as ledger:
            return len(await ledger.migrate())

    here = await asyncio.gather(*[in_this_process() for _ in range(3)])
    there = [int((await process.communicate())[0]) for process in processes]
    assert sorted(here + there) == [0] * 5 + [len(load())]


async def test_post_steps_wait_until_they_are_asked_for(database):
    assert await migrate(database, [PRE, POST, NEXT]) == [PRE.name, NEXT.name]
    assert await schema_state(database, [PRE, POST, NEXT]) == "current"
    assert await migrate(database, [PRE, POST, NEXT], post=True) == [POST.name]


async def test_older_code_works_on_a_newer_schema_until_a_post_step(database):
    await migrate(database, [PRE, NEXT])
    assert await schema_state(database, [PRE]) == "ahead"
    await migrate(database, [PRE, POST, NEXT], post=True)
    assert await schema_state(database, [PRE]) == "too_new"
    assert await schema_state(database, [PRE, POST, NEXT, Migration("0004_pre_x", "SELECT 1")]) == "behind"


async def test_a_step_that_was_changed_after_it_ran_is_refused(database):
    await migrate(database, [PRE])
    with pytest.raises(WrongUse, match="was changed after"):
        await migrate(database, [Migration(PRE.name, PRE.sql + " -- edited"), NEXT])


async def test_a_failure_leaves_nothing_half_done(database, empty_database_url):
    with pytest.raises(WrongUse):
        await migrate(database, [PRE, Migration("0002_pre_broken", "SELECT * FROM nowhere")])
    rows = await sql(
        empty_database_url, "SELECT to_regclass('things') AS things, to_regclass('schema_migrations') AS log"
    )
    assert (rows[0]["things"], rows[0]["log"]) == (None, None)


async def test_partitions_reach_some_weeks_ahead_and_only_empty_old_ones_are_dropped(empty_database_url):
    url = empty_database_url
    async with Ledger(url) as ledger:
        await ledger.migrate()
        assert await ledger.tasks.make_partitions(4) == 0
        assert await ledger.tasks.make_partitions(6) == 4  # two weeks, of tasks and of effects
        names = "SELECT count(*) AS n FROM pg_inherits WHERE inhparent = 'tasks'::regclass"
        assert (await sql(url, names))[0]["n"] == 9
        for weeks, filled in ((10, False), (11, True)):
            await sql(
                url,
                f"""DO $$ DECLARE m timestamptz := date_trunc('week', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '168 hours' * {weeks};
                BEGIN EXECUTE format('CREATE TABLE %I PARTITION OF tasks FOR VALUES FROM (%L) TO (%L)',
                    'tasks_' || to_char(m AT TIME ZONE 'UTC', 'YYYYMMDD'), uuid7_floor(m), uuid7_floor(m + interval '168 hours'));
                IF {filled} THEN INSERT INTO tasks (id, run_at, priority, tenant, agent, queue, metadata, input)
                    VALUES (uuid7_floor(m + interval '1 hour'), now(), 5, 't', 'a', 'q', '', ''); END IF; END $$""",
            )
        assert await ledger.tasks.drop_partitions(30 * 86_400) == 1
        assert (await sql(url, names))[0]["n"] == 10
        await sql(url, "DELETE FROM tasks")
        assert await ledger.tasks.drop_partitions(365 * 86_400) == 0
        assert await ledger.tasks.drop_partitions(30 * 86_400) == 1


async def test_a_partition_that_is_in_use_is_dropped_another_time(empty_database_url):
    async with Ledger(empty_database_url) as ledger:
        await ledger.migrate()
        await sql(
            empty_database_url,
            """DO $$ DECLARE m timestamptz := date_trunc('week', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '1680 hours';
            BEGIN EXECUTE format('CREATE TABLE %I PARTITION OF tasks FOR VALUES FROM (%L) TO (%L)',
                'tasks_' || to_char(m AT TIME ZONE 'UTC', 'YYYYMMDD'), uuid7_floor(m), uuid7_floor(m + interval '168 hours')); END $$""",
        )
        reader = await asyncpg.connect(empty_database_url)
        async with reader.transaction():
            await reader.execute("LOCK TABLE ONLY tasks IN ACCESS SHARE MODE")
            assert await ledger.tasks.drop_partitions(30 * 86_400) == 0
            assert (
                await reader.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'tasks'::regclass"
                )
                == 0
            )
        await reader.close()
        assert await ledger.tasks.drop_partitions(30 * 86_400) == 1


async def test_only_one_process_at_a_time_makes_or_drops_partitions(empty_database_url):
    async with Ledger(empty_database_url) as ledger:
        await ledger.migrate()
        other = await asyncpg.connect(empty_database_url)
        async with other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock(229070874)")
            dropping = asyncio.ensure_future(ledger.tasks.drop_partitions(30 * 86_400))
            async with asyncio.timeout(4):
                while not await other.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 229070874"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                ):
                    await asyncio.sleep(0.01)
        await other.close()
        assert await dropping == 0
