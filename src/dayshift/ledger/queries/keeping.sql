-- name: drop_expired
-- Deletes up to $2 tasks that ended without failing more than $1 seconds ago, and their effects; dead letters stay until a person drops them.
-- What a webhook is still to tell of stays until it was told.
WITH old AS MATERIALIZED (
    SELECT id FROM tasks t
    WHERE status IN ('succeeded', 'cancelled') AND finished_at < now() - $1::float8 * interval '1 second'
      AND NOT EXISTS (SELECT FROM tasks d WHERE d.about = t.id AND d.status IN ('queued', 'running', 'waiting'))
    ORDER BY finished_at LIMIT $2
    FOR UPDATE SKIP LOCKED
),
forgotten AS (
    DELETE FROM effects e USING old o WHERE e.task_id = o.id
),
unheard AS (
    DELETE FROM signals s USING old o WHERE s.task_id = o.id
)
DELETE FROM tasks t USING old o WHERE t.id = o.id RETURNING t.id;

-- name: drop_old_idempotency_keys
-- Deletes up to $1 keys that are past their 24 hours.
WITH old AS MATERIALIZED (
    SELECT tenant, key FROM idempotency_keys
    WHERE created_at < now() - interval '24 hours'
    ORDER BY created_at LIMIT $1
    FOR UPDATE SKIP LOCKED
)
DELETE FROM idempotency_keys k USING old o WHERE k.tenant = o.tenant AND k.key = o.key RETURNING k.key;

-- name: make_partitions
-- Makes the partitions from last week to $1 weeks ahead that are missing.
SELECT make_week_partitions('tasks', $1) + make_week_partitions('effects', $1)
FROM (SELECT pg_advisory_xact_lock(229070874)) AS one_at_a_time;

-- name: drop_partitions
-- Drops the empty partitions of weeks that ended more than $1 seconds ago.
SELECT drop_empty_week_partitions('tasks', now() - $1::float8 * interval '1 second')
    + drop_empty_week_partitions('effects', now() - $1::float8 * interval '1 second')
FROM (SELECT pg_advisory_xact_lock(229070874)) AS one_at_a_time;

-- name: measure_depths
-- Counts all unfinished tasks into depths, unless another process is counting right now; says whether it did. The next count is due after $1 seconds, or when this one's time is the share $2 of the time between them.
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(229070872) AS mine
),
unfinished AS (
    SELECT queue, tenant, status, run_at FROM tasks WHERE status = 'queued' AND (SELECT mine FROM turn)
    UNION ALL
    SELECT queue, tenant, status, run_at FROM tasks WHERE status = 'running' AND (SELECT mine FROM turn)
    UNION ALL
    SELECT queue, tenant, status, run_at FROM tasks WHERE status = 'waiting' AND (SELECT mine FROM turn)
),
counted AS MATERIALIZED (
    SELECT queue, tenant,
        count(*) FILTER (WHERE status = 'queued' AND run_at <= now()) AS ready,
        count(*) FILTER (WHERE status = 'queued' AND run_at > now()) AS delayed,
        count(*) FILTER (WHERE status = 'running') AS running,
        count(*) FILTER (WHERE status = 'waiting') AS waiting,
        min(run_at) FILTER (WHERE status = 'queued' AND run_at <= now()) AS oldest_at
    FROM unfinished GROUP BY queue, tenant
),
gone AS (
    DELETE FROM depths d
    WHERE (SELECT mine FROM turn)
      AND NOT EXISTS (SELECT FROM counted c WHERE c.queue = d.queue AND c.tenant = d.tenant)
),
kept AS (
    INSERT INTO depths SELECT * FROM counted
    ON CONFLICT (queue, tenant) DO UPDATE SET ready = excluded.ready, delayed = excluded.delayed,
        running = excluded.running, waiting = excluded.waiting, oldest_at = excluded.oldest_at
),
stamped AS (
    INSERT INTO depths_measured (at, again_seconds)
    SELECT now(), greatest($1::float8, extract(epoch FROM clock_timestamp() - now())::float8 / $2::float8)
    FROM turn WHERE mine AND (SELECT count(*) FROM counted) >= 0 -- so that the clock is read after the count
    ON CONFLICT (only_row) DO UPDATE SET at = excluded.at, again_seconds = excluded.again_seconds
)
SELECT mine FROM turn;

-- name: keep_depths
-- Lets the last count stand for $1 seconds more.
UPDATE depths_measured SET again_seconds = extract(epoch FROM clock_timestamp() - at)::float8 + $1::float8;

-- name: read_depths
-- The last count, and its age; one row with no queue when nothing is unfinished, no row when nothing was counted.
SELECT d.queue, d.tenant, d.ready, d.delayed, d.running, d.waiting,
    coalesce(extract(epoch FROM now() - d.oldest_at)::float8, 0) AS oldest_seconds,
    extract(epoch FROM clock_timestamp() - m.at)::float8 AS age_seconds, m.again_seconds
FROM depths_measured m LEFT JOIN depths d ON true;
