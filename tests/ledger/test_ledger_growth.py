"""What is asked all the time reads no more because much is queued or past; also before the first statistics, when a
planner goes by sizes alone, and with the plans that were made while the tables were empty.

Counted in buffers, which a busy machine does not change.
"""

import asyncio
import json

import asyncpg
import pytest
from test_ledger_plans import HOT

from dayshift.ledger.database import SESSION_SETTINGS
from dayshift.ledger.statements import SQL

MOST_BUFFERS = 300
NIL = "'00000000-0000-7000-8000-000000000001'::uuid"
NEWEST = "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid"
STATES = "'{queued,running,waiting,succeeded,failed,cancelled}'"
# 20,000 have waited for an hour, and 20,000 have ended, of which one in a thousand was cancelled.
FILL = """
INSERT INTO tasks (id, created_at, run_at, started_at, finished_at, start_id, attempt, priority, status, tenant, agent, queue,
    user_name, conversation, error_code, error_message, error_retryable, metadata, input, output)
SELECT (left(uuid7_floor(now() - n * interval '1 millisecond')::text, 14) || '7' || right(md5(n::text)::uuid::text, 21))::uuid,
    now() - interval '1 hour', now() - interval '1 hour',
    CASE WHEN s <> 'queued' THEN now() END, CASE WHEN s <> 'queued' THEN now() END,
    CASE WHEN s <> 'queued' THEN gen_random_uuid() END, (s <> 'queued')::int, 5, s, 'busy', 'agent', 'default', 'somebody', CASE WHEN s <> 'queued' THEN 'talk' END, CASE WHEN s = 'cancelled' THEN 'x' END, CASE WHEN s = 'cancelled' THEN 'x' END,
    CASE WHEN s = 'cancelled' THEN true END, '{}', '{}', CASE WHEN s = 'succeeded' THEN '1'::bytea END
FROM (SELECT n, CASE WHEN n % 2 = 0 THEN 'queued' WHEN n % 1000 = 1 THEN 'cancelled' ELSE 'succeeded' END AS s
    FROM generate_series(1, 40000) n) g;
INSERT INTO idempotency_keys (tenant, key, task_id, body_hash) SELECT tenant, id::text, id, '' FROM tasks;
"""
NO_STATISTICS = """
SELECT format('ALTER TABLE %s SET (autovacuum_enabled = false)', inhrelid::regclass)
FROM pg_inherits WHERE inhparent = 'tasks'::regclass
"""
BY_THE_CLOCK = (
    "poll", "beat_worker", "silent_workers", "running_by_live_workers", "fail_expired", "announceable", "delayed_page",
    "drop_expired", "drop_old_idempotency_keys",
)  # fmt: skip
ALL_THE_TIME = {name: HOT[name] for name in BY_THE_CLOCK} | {
    "read_depths": "",
    "place_of": NIL,
    "get_task_of_tenant": f"{NIL}, 'busy'",
    "lane_page": "'agent', 5, 'busy', 0, 10",
    "list_tasks_by_status": f"'busy', {STATES}, {NEWEST}, 20, false",
    "list_tasks_of_agent": f"'busy', {STATES}, {NEWEST}, 20, 'agent'",
    "list_tasks_of_user": f"'busy', {STATES}, {NEWEST}, 20, 'somebody', NULL",
    "list_tasks_of_conversation": f"'busy', {STATES}, {NEWEST}, 20, 'talk', NULL, NULL",
}
OF_A_RARE_STATE = {
    name: arguments.replace(STATES, "'{failed}'") for name, arguments in ALL_THE_TIME.items() if STATES in arguments
}


@pytest.fixture(scope="module")
def sessions(module_database_url):
    """Two sessions that have prepared everything: one while the tables were empty, one once they had filled."""
    loop = asyncio.new_event_loop()

    async def prepared() -> asyncpg.Connection:
        connection = await asyncpg.connect(
            module_database_url, server_settings=SESSION_SETTINGS, statement_cache_size=0
        )
        for name, arguments in ALL_THE_TIME.items():
            await connection.execute(f"PREPARE {name} AS {SQL[name]}")
            await connection.execute(f"EXPLAIN {_call(name, arguments)}")
        return connection

    async def make() -> dict[str, asyncpg.Connection]:
        admin = await asyncpg.connect(module_database_url)
        for row in await admin.fetch(NO_STATISTICS):
            await admin.execute(row[0])
        before = await prepared()
        await admin.execute(FILL)
        await admin.close()
        return {"an old plan": before, "a plan without statistics": await prepared()}

    made = loop.run_until_complete(make())
    yield lambda session, call: loop.run_until_complete(_buffers(made[session], call))
    for connection in made.values():
        loop.run_until_complete(connection.close())
    loop.close()


async def _buffers(connection: asyncpg.Connection, call: str) -> int:
    """Pages looked at by a call, which is taken back."""
    transaction = connection.transaction()
    await transaction.start()
    text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {call}")
    await transaction.rollback()
    plan = json.loads(text)[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def _call(name: str, arguments: str) -> str:
    return f"EXECUTE {name}({arguments})" if arguments else f"EXECUTE {name}"


@pytest.mark.parametrize("session", ["an old plan", "a plan without statistics"])
@pytest.mark.parametrize("name", ALL_THE_TIME)
def test_a_queue_and_a_past_cost_nothing(sessions, session, name):
    assert sessions(session, _call(name, ALL_THE_TIME[name])) < MOST_BUFFERS


@pytest.mark.parametrize("session", ["an old plan", "a plan without statistics"])
@pytest.mark.parametrize("name", OF_A_RARE_STATE)
def test_a_list_of_a_state_that_is_rare_does_not_search_the_others(sessions, session, name):
    assert sessions(session, _call(name, OF_A_RARE_STATE[name])) < MOST_BUFFERS
