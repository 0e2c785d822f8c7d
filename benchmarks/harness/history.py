"""A past for the ledger, written by SQL and not lived through: what a million tasks of the last week leave behind.

Of the rows 97 in 100 succeeded, 2 failed and 1 was cancelled; four in five are the asking tenant's, the others of a hundred
small ones; they are of five agents and 1,000 users, a quarter in conversations of about 40, and the last day's have an
idempotency key. Afterwards statistics and visibility are as autovacuum would have left them.
"""

import asyncpg

_ROWS_A_STATEMENT = 100_000

_TASKS = """
WITH past AS (
    SELECT n, clock_timestamp() - ($2 - n) * interval '6 days' / $2 AS at,
        CASE WHEN n % 5 = 0 THEN 't' || n % 100 ELSE 'bench' END AS tenant,
        CASE WHEN n % 4 = 0 THEN 'c' || n / 160 END AS conversation,
        CASE WHEN n % 100 < 2 THEN 'failed' WHEN n % 100 = 2 THEN 'cancelled' ELSE 'succeeded' END AS status
    FROM generate_series($1::int + 1, $3::int) n
)
INSERT INTO tasks (id, created_at, run_at, started_at, finished_at, start_id, finish_id, attempt, priority, status, tenant,
    agent, queue, user_name, conversation, idempotency_key, error_code, error_message, error_retryable, metadata, usage,
    timing, input, output)
SELECT (left(uuid7_floor(at)::text, 14) || '7' || right(md5(n::text)::uuid::text, 21))::uuid,
    at, date_trunc('milliseconds', at), at, at + interval '1 second', gen_random_uuid(), gen_random_uuid(), 1, 5, status,
    tenant, CASE WHEN n % 10 < 8 THEN 'noop' ELSE 'other' || n % 10 END, 'default', 'u' || n % 1000, conversation,
    CASE WHEN at > now() - interval '1 day' THEN 'key' || n END,
    CASE WHEN status <> 'succeeded' THEN 'agent_error' END, CASE WHEN status <> 'succeeded' THEN 'it broke' END,
    CASE WHEN status <> 'succeeded' THEN false END, '{}'::bytea, '{}'::bytea, '{}'::bytea,
    convert_to('{"n": ' || n || ', "text": "' || repeat('x', 100) || '"}', 'UTF8'),
    CASE WHEN status = 'succeeded' THEN convert_to(n::text, 'UTF8') END
FROM past
"""
_CONVERSATIONS = """
INSERT INTO conversations (tenant, name, unfinished)
SELECT DISTINCT tenant, conversation, 0 FROM tasks WHERE conversation IS NOT NULL ON CONFLICT DO NOTHING
"""
_KEYS = """
INSERT INTO idempotency_keys (tenant, key, task_id, body_hash)
SELECT tenant, idempotency_key, id, '' FROM tasks WHERE idempotency_key IS NOT NULL ON CONFLICT DO NOTHING
"""


async def live_through(database_url: str, rows: range, *, of: int) -> None:
    """Write these rows of a history of `of`; later rows are younger."""
    connection = await asyncpg.connect(database_url)
    try:
        for at in range(rows.start, rows.stop, _ROWS_A_STATEMENT):
            await connection.execute(_TASKS, at, of, min(at + _ROWS_A_STATEMENT, rows.stop))
        await connection.execute(_CONVERSATIONS)
        await connection.execute(_KEYS)
        for table in ("tasks", "conversations", "idempotency_keys"):
            await connection.execute(f"VACUUM (ANALYZE) {table}")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
