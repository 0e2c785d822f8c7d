"""The plan of every hot statement on 100,000 rows: found by index, whatever the arguments (generic plans).

Two times: as PostgreSQL would choose by itself, and under the settings of our own sessions.
"""

import asyncio
import json
import re

import asyncpg
import pytest

from dayshift.ledger.database import SESSION_SETTINGS
from dayshift.ledger.statements import SQL

ROWS = 100_000
# A day of an installation with one busy and 99 small tenants: 1 % wait, 1 % run, the others have ended.
FILL = f"""
INSERT INTO workers (id, pid, host, agents, slots)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, n, 'box', '{{echo}}', 100
FROM generate_series(1, 20) n;
INSERT INTO tasks (id, created_at, run_at, started_at, finished_at, expires_at, worker_id, start_id, attempt, priority,
    status, tenant, agent, queue, user_name, conversation, error_code, error_message, error_retryable, metadata, input, output)
SELECT
    (left(uuid7_floor(now() - n * interval '0.8 seconds')::text, 14) || '7' || right(md5(n::text)::uuid::text, 21))::uuid,
    now() - n * interval '0.8 seconds', date_trunc('milliseconds', now() + CASE WHEN n % 500 = 0 THEN 1 ELSE -n END * interval '0.8 seconds'),
    CASE WHEN s <> 'queued' THEN now() END, CASE WHEN s IN ('succeeded', 'failed', 'cancelled') THEN now() - n * interval '1 second' END,
    CASE WHEN n % 50 = 0 THEN now() + interval '1 hour' END,
    CASE WHEN s = 'running' THEN ('00000000-0000-7000-8000-' || lpad(to_hex(1 + n % 20), 12, '0'))::uuid END,
    CASE WHEN s <> 'queued' THEN gen_random_uuid() END, CASE WHEN s = 'queued' THEN 0 ELSE 1 END, n % 10, s,
    CASE WHEN n % 2 = 0 THEN 'busy' ELSE 't' || n % 100 END, 'agent' || n % 5, 'q' || n % 3, 'u' || n % 1000,
    CASE WHEN n % 4 = 0 THEN 'c' || n % 8000 END, CASE WHEN s = 'failed' THEN 'x' END, CASE WHEN s = 'failed' THEN 'x' END,
    CASE WHEN s = 'failed' THEN true END, '{{}}', convert_to(repeat('x', 100), 'UTF8'), CASE WHEN s = 'succeeded' THEN '1'::bytea END
FROM (SELECT n, CASE WHEN n % 100 = 0 THEN 'queued' WHEN n % 100 = 1 THEN 'running' WHEN n % 100 = 2 THEN 'failed'
    WHEN n % 100 = 3 THEN 'cancelled' ELSE 'succeeded' END AS s FROM generate_series(1, {ROWS}) n) g;
INSERT INTO conversations (tenant, name, unfinished)
SELECT tenant, conversation, count(*) FILTER (WHERE finished_at IS NULL) FROM tasks WHERE conversation IS NOT NULL GROUP BY 1, 2;
INSERT INTO conversation_messages (tenant, conversation, id, task_id, body)
SELECT tenant, conversation, id, id, 'x' FROM tasks WHERE conversation IS NOT NULL;
INSERT INTO spending (kind, tenant, name, hour, shard, nano_usd, tokens, calls, unpriced)
SELECT 'user', 't' || n % 100, 'u' || n % 1000, date_trunc('hour', now()) - n / 1000 * interval '1 hour', 0, 1, 1, 1, 0
FROM generate_series(1, {ROWS}) n;
INSERT INTO idempotency_keys (tenant, key, task_id, body_hash) SELECT tenant, id::text, id, '' FROM tasks;
"""
# As autovacuum would: it looks at what has changed, so the partitions of the weeks to come stay unseen.
ANALYZED = """
SELECT DISTINCT tableoid::regclass::text AS name FROM tasks
UNION SELECT unnest(ARRAY['conversations', 'conversation_messages', 'idempotency_keys', 'spending', 'workers'])
"""
UUID, UUIDS, NIL = "'{}'::uuid[]", "'{}'::uuid[]", "'00000000-0000-7000-8000-000000000001'::uuid"
BIGINTS = "'{}'::bigint[]"
TEXTS, BYTES = "'{}'::text[]", "'{}'::bytea[]"
HOT = {
    "accept_tasks": f"{UUIDS}, {TEXTS}, {TEXTS}, {TEXTS}, {BYTES}, '{{}}'::smallint[], {TEXTS}, {TEXTS}, '{{}}'::float8[], '{{}}'::timestamptz[], '{{}}'::float8[], '{{}}'::timestamptz[], {BYTES}, {TEXTS}, {TEXTS}, {TEXTS}, {BYTES}, {TEXTS}",
    "accepted_before": UUIDS,
    "withdraw_task": f"{NIL}, 'busy'",
    "unfinished_before": NIL,
    "start_tasks": f"{UUIDS}, {UUIDS}, {TEXTS}, '{{}}'::boolean[], {UUIDS}, {TEXTS}, {TEXTS}",
    "finish_tasks": f"{UUIDS}, '{{}}'::int[], {UUIDS}, {UUIDS}, {TEXTS}, {BYTES}, {TEXTS}, {TEXTS}, '{{}}'::boolean[], '{{}}'::float8[], {BYTES}, {BYTES}, {BYTES}, '{{}}'::timestamptz[], '{{}}'::int[], {BYTES}",
    "record_effects": f"{UUIDS}, '{{}}'::int[], {UUIDS}, {UUIDS}, {BYTES}, '{{}}'::int[], {TEXTS}, {TEXTS}, {TEXTS}, '{{}}'::timestamptz[], '{{}}'::timestamptz[], {BYTES}, {BYTES}, {BYTES}, {BYTES}, {TEXTS}, {BYTES}, '{{}}'::float8[], {TEXTS}, '{{}}'::int[], {TEXTS}, {TEXTS}, {TEXTS}, {BIGINTS}, {BIGINTS}, {BIGINTS}, {BIGINTS}",
    "spent": f"{TEXTS}, {TEXTS}, {TEXTS}, '{{}}'::timestamptz[]",
    "drop_old_spending": "3000000, 1000",
    "ancestors_of": NIL,
    "replace_effect": f"{NIL}, 1, {NIL}, 'k', 0, {NIL}, 'llm', 'n', 'done', now(), now(), NULL, NULL, NULL, 'r', '', NULL, NULL, {TEXTS}, {TEXTS}, {TEXTS}, {BIGINTS}, {BIGINTS}, {BIGINTS}, {BIGINTS}",
    "effects_of_task": f"{NIL}, '', -1, 1000",
    "list_effects": f"{NIL}, {NIL}, 20",
    "settle_effect": f"{NIL}, 'busy', {NIL}, NULL",
    "mark_replayed": f"{UUIDS}, {BYTES}, '{{}}'::int[], '{{}}'::int[]",
    "lock_attempts": f"{UUIDS}, '{{}}'::int[], {UUIDS}",
    "bind_signals": UUIDS,
    "time_out_waits": f"{UUIDS}, 'r'",
    "answered_waits": UUIDS,
    "lock_for_signal": f"{NIL}, 'busy'",
    "lock_tasks": UUIDS,
    "signals_of_name": f"{NIL}, 'approval'",
    "waits_of_name": f"{NIL}, 'approval'",
    "keep_signal": f"{NIL}, 'approval', {NIL}, {NIL}, '1'",
    "wake_tasks": UUIDS,
    "waking_page": "600, 'epoch', 0, 100",
    "wake_overdue": "5, 100",
    "spawn_children": f"{UUIDS}, '{{}}'::int[], {UUIDS}, {UUIDS}, {BYTES}, '{{}}'::int[], {TEXTS}, '{{}}'::timestamptz[], {BYTES}, {BYTES}, {TEXTS}, {TEXTS}, {BYTES}, {TEXTS}, {TEXTS}",
    "untold_children": "500",
    "note_told": UUIDS,
    "unfinished_children": NIL,
    "orphans": "500",
    "delivery_of": NIL,
    "test_delivery": f"{NIL}, 'busy', 'x', 'x'",
    "list_tasks_in_contexts": f"'busy', 'agent1', NULL, now(), {NIL}, now() - interval '1 hour', NULL, 20",
    "count_tasks_in_contexts": "'busy', 'agent1', NULL, now() - interval '1 hour', NULL, 100",
    "a2a_of_tasks": f"{UUIDS}, 'busy'",
    "add_a2a_message": f"{NIL}, 'busy', '{{}}'",
    "set_a2a_push": f"{NIL}, 'busy', 'p', '{{}}', 10",
    "drop_a2a_push": f"{NIL}, 'busy', 'p'",
    "get_task": NIL,
    "get_task_of_tenant": f"{NIL}, 'busy'",
    "find_idempotency_key": "'busy', 'a key'",
    "get_tasks": UUIDS,
    "finished_among": UUIDS,
    "list_tasks_by_status": f"'busy', '{{queued}}', {NIL}, 20, false",
    "list_tasks_of_agent": f"'busy', '{{queued}}', {NIL}, 20, 'agent1'",
    "list_tasks_of_user": f"'busy', '{{queued}}', {NIL}, 20, 'u1', NULL",
    "list_tasks_of_conversation": f"'busy', '{{queued}}', {NIL}, 20, 'c1', NULL, NULL",
    "place_of": NIL,
    "lane_page": "'agent1', 5, 'busy', 0, 100",
    "announceable": "2, 60, 100",
    "delayed_page": "10, 600, 'epoch', 0, 100",
    "lanes_after": "'', -1, '', 1000",
    "heads_of_lanes": "'{agent1,agent2}'::text[], '{5,5}'::smallint[], '{busy,t7}'::text[], 64",
    "running_of": NIL,
    "running_by_live_workers": "",
    "stranded_tasks": "",
    "conversation_heads": f"{TEXTS}, {TEXTS}",
    "create_conversation": f"'busy', 'c', {UUIDS}, {BYTES}",
    "get_conversation": "'busy', 'c1'",
    "list_conversations": "'busy', 20",
    "list_conversations_after": "'busy', 20, 'c1'",
    "seq_of_message": f"'busy', 'c1', {NIL}",
    "messages_before": "'busy', 'c1', 100, 20",
    "messages_after": "'busy', 'c1', 0, 20",
    "lock_conversation": "'busy', 'c1'",
    "erase_conversation": "'busy', 'c1'",
    "forget_idle_conversations": "3600, NULL, '', '', 2000",
    "cancel_task": f"{NIL}, 'busy'",
    "retry_task": f"{NIL}, 'busy'",
    "erase_task": f"{NIL}, 'busy'",
    "fail_expired": "100",
    "fail_poison": f"{NIL}, false, 5",
    "drop_expired": "86400, 1000",
    "drop_old_idempotency_keys": "1000",
    "measure_depths": "1, 0.05",
    "beat_worker": f"{NIL}, 1, false, 0.0",
    "silent_workers": "10",
    "remove_old_workers": "86400",
    "poll": NIL,
}
SMALL_TABLES = {"workers", "depths", "depths_measured", "versions", "plane_state"}
# Left to itself PostgreSQL may read 2,000 conversations to hash them, and a third of a table that it believes to be old.
# Our sessions, also those through PgBouncer, tell it otherwise.
MAY_SCAN_BY_ITSELF = {("drop_expired", "tasks"), ("drop_expired", "signals")}
# To count all unfinished rows (or all that are pinned) is to read all their index entries; nothing is saved by a narrower bound.
# Likewise all children that have not ended, now and then; and the index of ends that a parent was not told of is empty but
# for those.
READS_ALL_UNFINISHED = {"measure_depths", "orphans", "stranded_tasks", "untold_children"}


@pytest.fixture(scope="module")
def filled_url(module_database_url):
    async def fill() -> None:
        connection = await asyncpg.connect(module_database_url)
        await connection.execute(FILL)
        for row in await connection.fetch(ANALYZED):
            await connection.execute(f"VACUUM (ANALYZE) {row['name']}")
        await connection.close()

    asyncio.run(fill())
    return module_database_url


async def plan_of(url: str, name: str, arguments: str, settings: dict[str, str]) -> dict:
    connection = await asyncpg.connect(url, server_settings=settings, statement_cache_size=0)
    try:
        await connection.execute(f"PREPARE hot AS {SQL[name]}")
        call = f"EXECUTE hot({arguments})" if arguments else "EXECUTE hot"
        return json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {call}"))[0]["Plan"]
    finally:
        await connection.close()


def nodes(plan: dict):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.mark.parametrize(
    "settings", [{"plan_cache_mode": "force_generic_plan"}, SESSION_SETTINGS], ids=["plain", "ours"]
)
@pytest.mark.parametrize("name", HOT)
async def test_a_hot_statement_is_answered_by_indexes(filled_url, name, settings):
    for node in nodes(await plan_of(filled_url, name, HOT[name], settings)):
        table = node.get("Relation Name", "")
        if node["Node Type"] == "Seq Scan" and not _is_excused(name, table, settings):
            assert table in SMALL_TABLES, f"{name} reads all of {table}"
        if node["Node Type"].startswith("Index") and table.startswith("tasks_") and name not in READS_ALL_UNFINISHED:
            bounded = node.get("Index Cond") or _stops_early(name) or _is_partial(node["Index Name"])
            assert bounded, f"{name} walks the whole of {node['Index Name']}"


def _is_excused(name: str, table: str, settings: dict[str, str]) -> bool:
    whole = re.sub(r"_\d{8}$|_default$", "", table)
    return settings is not SESSION_SETTINGS and (whole == "conversations" or (name, whole) in MAY_SCAN_BY_ITSELF)


def _stops_early(name: str) -> bool:
    """A loose scan takes the first entry of an index and jumps."""
    return name == "lanes_after"


def _is_partial(index: str) -> bool:
    """Indexes over the few tasks that run, which some statements read whole on purpose, or over those that wait: in a
    partition without statistics PostgreSQL may take one of these for a single id, which costs no more than the backlog.
    """
    return "worker_id" in index or "run_at_seq" in index or "coalesce_priority" in index


@pytest.mark.parametrize("name", ["start_tasks", "finish_tasks", "get_tasks"])
async def test_a_batch_looks_each_row_up_in_its_own_partition(filled_url, name):
    plan = await plan_of(filled_url, name, HOT[name], SESSION_SETTINGS)
    scans = [node for node in nodes(plan) if str(node.get("Relation Name", "")).startswith("tasks_2")]
    by_key = [node for node in scans if "pkey" in node.get("Index Name", "")]
    assert by_key
    assert all("id = " in node["Index Cond"] for node in by_key)


async def test_a_partition_that_was_vacuumed_while_empty_is_used_rightly_once_it_fills(module_database_url, filled_url):
    connection = await asyncpg.connect(filled_url, server_settings=SESSION_SETTINGS)
    for row in await connection.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'tasks'::regclass"
    ):
        await connection.execute(f"VACUUM (ANALYZE) {row['name']}")
    await connection.execute(
        "INSERT INTO tasks (id, run_at, priority, tenant, agent, queue, metadata, input)"
        " SELECT (left(uuid7_floor(now() + interval '168 hours')::text, 14) || '7' || right(gen_random_uuid()::text, 21))::uuid,"
        " now(), 5, 'busy', 'agent1', 'q1', '', '' FROM generate_series(1, 5000)"
    )
    table = await connection.fetchval("SELECT tableoid::regclass::text FROM tasks ORDER BY id DESC LIMIT 1")
    await connection.close()
    for name in ("start_tasks", "finish_tasks", "get_tasks"):
        plan = await plan_of(filled_url, name, HOT[name], SESSION_SETTINGS)
        scans = [node for node in nodes(plan) if node.get("Relation Name") == table and node.get("Alias", "")[0] == "t"]
        scans = [node for node in scans if node["Node Type"] != "ModifyTable"]
        assert scans
        assert all("pkey" in node["Index Name"] and "Index Cond" in node for node in scans), name


# Rare, or on tables that stay small.
COLD = {
    "active_keys", "all_agents", "clock", "create_key", "create_webhook_endpoint", "current_settings", "default_webhook_secret",
    "delete_webhook_endpoint", "disable_webhook_endpoint", "drop_partitions", "get_webhook_endpoint", "list_webhook_endpoints",
    "rotate_webhook_secret", "update_webhook_endpoint",
    "advance_schedule", "change_schedule", "create_schedule", "delete_schedule", "due_schedules", "get_schedule", "list_schedules",
    "get_plane_state", "keep_depths", "last_settings_change_around", "list_keys", "list_workers", "make_partitions", "note_outlived",
    "raise_epoch", "read_depths", "register_agents", "register_worker", "release_worker", "revoke_key", "settings_history",
    "touch_keys", "write_settings",
}  # fmt: skip


def test_every_statement_has_its_plan_watched_or_is_known_to_be_cold():
    assert set(SQL) - set(HOT) - COLD == set()
