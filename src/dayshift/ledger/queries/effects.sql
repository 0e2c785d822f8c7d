-- name: record_effects
-- Writes each effect whose attempt still runs; answers 'recorded', 'superseded', or 'stored' where another effect has that place.
-- What appends to the history of the task's conversation has its result put there as well, once.
-- What it cost ($20 to $27: the effect's place in the list, for whom, how much) is summed up with it: when it is new here, and not when
-- a batch whose answer was lost is written again. Sums are written in one order, as two batches may meet in them.
-- Rows are locked by themselves, see start_tasks.
WITH wish AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::uuid[], $5::bytea[], $6::int[], $7::text[], $8::text[],
            $9::text[], $10::timestamptz[], $11::timestamptz[], $12::bytea[], $13::bytea[], $14::bytea[], $15::bytea[],
            $16::text[], $17::bytea[], $18::float8[], $19::text[]) WITH ORDINALITY
        AS w (task, attempt, worker, id, key, occurrence, kind, name, status, started_at, finished_at, digests, emits, usage,
            result, scope, differs, wait_seconds, preview, n)
),
locked AS MATERIALIZED (
    SELECT id, status, attempt, worker_id, cancel_requested_at, tenant, conversation FROM tasks
    WHERE id = ANY ($1::uuid[])
    ORDER BY id
    FOR SHARE
),
met AS MATERIALIZED (
    SELECT w.*, t.status = 'running' AND t.attempt = w.attempt AND t.worker_id = w.worker AS is_running,
        t.cancel_requested_at IS NOT NULL AS is_cancelled, t.tenant, t.conversation
    FROM wish w JOIN locked t ON t.id = w.task
),
written AS (
    INSERT INTO effects AS e (
        task_id, key, occurrence, id, attempt, kind, name, status, started_at, finished_at, digests, emits, usage, result,
        scope, differs, due_at, preview)
    SELECT task, key, occurrence, id, attempt, kind, name, status, started_at, finished_at, digests, emits, usage, result,
        scope, differs, now() + wait_seconds * interval '1 second', preview
    FROM met WHERE is_running
    ORDER BY task, key, occurrence
    ON CONFLICT (task_id, key, occurrence) DO UPDATE SET
        status = excluded.status,
        attempt = CASE WHEN excluded.status = 'unknown' THEN e.attempt ELSE excluded.attempt END, -- who began it
        finished_at = excluded.finished_at,
        emits = CASE WHEN e.status = excluded.status THEN e.emits
            ELSE nullif(coalesce(e.emits, ''::bytea) || coalesce(excluded.emits, ''::bytea), ''::bytea) END,
        usage = excluded.usage, result = excluded.result
    WHERE e.id = excluded.id AND (e.status IN ('started', 'unknown') OR e.status = excluded.status)
    RETURNING e.id, e.due_at
),
paid AS MATERIALIZED (
    SELECT * FROM unnest($20::int[], $21::text[], $22::text[], $23::text[], $24::int8[], $25::int8[], $26::int8[], $27::int8[])
        AS p (n, kind, tenant, name, nano_usd, tokens, calls, unpriced)
),
summed AS (
    INSERT INTO spending AS s (kind, tenant, name, hour, shard, nano_usd, tokens, calls, unpriced)
    SELECT p.kind, p.tenant, p.name, date_trunc('hour', now()), pg_backend_pid() % 16, sum(p.nano_usd), sum(p.tokens),
        sum(p.calls), sum(p.unpriced)
    FROM paid p
    JOIN met l ON l.n = p.n
    JOIN written e ON e.id = l.id
    LEFT JOIN effects o ON o.task_id = l.task AND o.key = l.key AND o.occurrence = l.occurrence -- as it was before
    WHERE o.id IS NULL OR o.status IN ('started', 'unknown')
    GROUP BY p.kind, p.tenant, p.name
    ORDER BY p.kind, p.tenant, p.name
    ON CONFLICT (kind, tenant, name, hour, shard) DO UPDATE SET
        nano_usd = s.nano_usd + excluded.nano_usd, tokens = s.tokens + excluded.tokens,
        calls = s.calls + excluded.calls, unpriced = s.unpriced + excluded.unpriced
),
said AS (
    INSERT INTO conversation_messages (tenant, conversation, id, task_id, body)
    SELECT l.tenant, l.conversation, l.id, l.task, l.result FROM met l JOIN written e ON e.id = l.id
    WHERE l.kind = 'append'
    ORDER BY l.n
    ON CONFLICT (id) DO NOTHING
)
SELECT w.n, coalesce(l.is_cancelled, false) AS is_cancelled, e.due_at,
    CASE WHEN NOT coalesce(l.is_running, false) THEN 'superseded' WHEN e.id IS NULL THEN 'stored' ELSE 'recorded' END AS ruling
FROM wish w
LEFT JOIN met l ON l.n = w.n
LEFT JOIN written e ON e.id = w.id;

-- name: replace_effect
-- Puts an effect in the place of another one, if its attempt still runs; says whether it did.
-- What it cost ($19 to $25, as in record_effects) is summed up too, and what the other one cost stays in the sums: both were paid for.
-- A repeat finds itself in that place, and sums up nothing.
WITH locked AS MATERIALIZED (
    SELECT t.id FROM tasks t
    WHERE t.id = $1 AND t.status = 'running' AND t.attempt = $2 AND t.worker_id = $3
    FOR SHARE
),
other AS MATERIALIZED (
    SELECT e.id, e.task_id, e.key, e.occurrence FROM locked l JOIN effects e ON e.task_id = l.id
    WHERE e.key = $4 AND e.occurrence = $5 AND e.attempt <= $2
    FOR UPDATE OF e
),
replaced AS (
    UPDATE effects e SET id = $6, attempt = $2, replayed_by = NULL, kind = $7, name = $8, status = $9, started_at = $10,
        finished_at = $11, digests = $12, emits = $13, usage = $14, result = $15, scope = $16,
        differs = $17, preview = $18
    FROM other o
    WHERE e.task_id = o.task_id AND e.key = o.key AND e.occurrence = o.occurrence
    RETURNING e.id
),
summed AS (
    INSERT INTO spending AS s (kind, tenant, name, hour, shard, nano_usd, tokens, calls, unpriced)
    SELECT p.kind, p.tenant, p.name, date_trunc('hour', now()), pg_backend_pid() % 16, sum(p.nano_usd), sum(p.tokens),
        sum(p.calls), sum(p.unpriced)
    FROM unnest($19::text[], $20::text[], $21::text[], $22::int8[], $23::int8[], $24::int8[], $25::int8[])
        AS p (kind, tenant, name, nano_usd, tokens, calls, unpriced)
    WHERE EXISTS (SELECT FROM other o WHERE o.id <> $6)
    GROUP BY p.kind, p.tenant, p.name
    ORDER BY p.kind, p.tenant, p.name
    ON CONFLICT (kind, tenant, name, hour, shard) DO UPDATE SET
        nano_usd = s.nano_usd + excluded.nano_usd, tokens = s.tokens + excluded.tokens,
        calls = s.calls + excluded.calls, unpriced = s.unpriced + excluded.unpriced
)
SELECT id FROM replaced;

-- name: effects_of_task
-- A page of a task's journal, in the order of keys. Nothing that reads a whole journal needs its previews.
SELECT task_id, key, occurrence, id, attempt, replayed_by, kind, name, status, started_at, finished_at, digests, emits, usage,
    result, scope, differs, due_at, NULL::text AS preview
FROM effects
WHERE task_id = $1 AND (key, occurrence) > ($2::bytea, $3::int)
ORDER BY key, occurrence LIMIT $4;

-- name: mark_replayed
-- Notes which attempt was given these results instead of doing it again.
UPDATE effects e SET replayed_by = w.attempt
FROM unnest($1::uuid[], $2::bytea[], $3::int[], $4::int[]) AS w (task, key, occurrence, attempt)
WHERE e.task_id = w.task AND e.key = w.key AND e.occurrence = w.occurrence
    AND (e.replayed_by IS NULL OR e.replayed_by < w.attempt)
RETURNING e.id;

-- name: list_effects
-- A page of a task's effects without their results, in the order in which they began.
SELECT task_id, key, occurrence, id, attempt, replayed_by, kind, name, status, started_at, finished_at, digests, emits, usage,
    NULL::bytea AS result, scope, differs, due_at, preview
FROM effects WHERE task_id = $1 AND id > $2 ORDER BY id LIMIT $3;

-- name: settle_effect
-- Gives an effect without an outcome its result $3, or takes it out of the journal without one; says what it found. Not while the task runs.
WITH task AS MATERIALIZED (
    SELECT id, status FROM tasks WHERE id = $1 AND tenant = $2 FOR SHARE
),
found AS MATERIALIZED (
    SELECT e.task_id, e.key, e.occurrence, e.status, t.status AS task_status
    FROM task t JOIN effects e ON e.task_id = t.id
    WHERE e.id = $3
),
performed AS (
    UPDATE effects e SET status = 'done', finished_at = now(), result = $4
    FROM found f
    WHERE (e.task_id, e.key, e.occurrence) = (f.task_id, f.key, f.occurrence)
      AND f.task_status <> 'running' AND f.status IN ('started', 'unknown') AND $4::bytea IS NOT NULL
    RETURNING e.id
),
not_performed AS (
    DELETE FROM effects e USING found f
    WHERE (e.task_id, e.key, e.occurrence) = (f.task_id, f.key, f.occurrence)
      AND f.task_status <> 'running' AND f.status IN ('started', 'unknown') AND $4::bytea IS NULL
    RETURNING e.id
)
SELECT t.status AS task_status, f.status,
    EXISTS (SELECT FROM performed) OR EXISTS (SELECT FROM not_performed) AS is_settled
FROM task t LEFT JOIN found f ON true;
