-- name: accept_tasks
-- Inserts tasks with their idempotency keys and counts them into their conversations, all or nothing; a task whose key belongs to another task, or that exists already, is not inserted.
WITH wish AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::smallint[], $7::text[], $8::text[],
        $9::float8[], $10::timestamptz[], $11::float8[], $12::timestamptz[], $13::bytea[], $14::text[], $15::text[],
        $16::text[], $17::bytea[], $18::text[]
    ) AS w (id, tenant, agent, queue, input, priority, user_name, conversation,
        delay_seconds, run_at, timeout_seconds, expires_at, metadata, trace_id, webhook_url,
        idempotency_key, body_hash, a2a)
),
-- The update is always done, so that the row is answered as it is now and not as the snapshot shows it.
keyed AS (
    INSERT INTO idempotency_keys AS k (tenant, key, task_id, body_hash)
    SELECT tenant, idempotency_key, id, coalesce(body_hash, ''::bytea)
    FROM wish WHERE idempotency_key IS NOT NULL
    ORDER BY tenant, idempotency_key
    ON CONFLICT (tenant, key) DO UPDATE SET
        task_id    = CASE WHEN k.created_at < now() - interval '24 hours' THEN excluded.task_id ELSE k.task_id END,
        body_hash  = CASE WHEN k.created_at < now() - interval '24 hours' THEN excluded.body_hash ELSE k.body_hash END,
        created_at = CASE WHEN k.created_at < now() - interval '24 hours' THEN excluded.created_at ELSE k.created_at END
    RETURNING k.tenant, k.key, k.task_id, k.body_hash
),
inserted AS (
    INSERT INTO tasks (id, tenant, agent, queue, input, priority, user_name, conversation, run_at,
        timeout_seconds, expires_at, metadata, trace_id, webhook_url, idempotency_key, a2a)
    SELECT w.id, w.tenant, w.agent, w.queue, w.input, w.priority, w.user_name, w.conversation,
        date_trunc('milliseconds', greatest(now(), coalesce(w.run_at, now() + w.delay_seconds * interval '1 second'))),
        w.timeout_seconds, w.expires_at, w.metadata, w.trace_id, w.webhook_url, w.idempotency_key, w.a2a::jsonb
    FROM wish w LEFT JOIN keyed k ON k.tenant = w.tenant AND k.key = w.idempotency_key
    WHERE w.idempotency_key IS NULL OR k.task_id = w.id
    ON CONFLICT (id) DO NOTHING
    RETURNING id, tenant, conversation, seq, created_at, run_at
),
talks AS (
    INSERT INTO conversations AS c (tenant, name, unfinished)
    SELECT tenant, conversation, count(*) FROM inserted WHERE conversation IS NOT NULL
    GROUP BY tenant, conversation
    ORDER BY tenant, conversation
    ON CONFLICT (tenant, name) DO UPDATE SET unfinished = c.unfinished + excluded.unfinished, touched_at = now()
    RETURNING c.tenant, c.name, c.unfinished
),
-- In a conversation that was empty, the first of these is its head.
heads AS (
    SELECT min(i.seq) AS seq
    FROM inserted i JOIN talks c ON c.tenant = i.tenant AND c.name = i.conversation
    GROUP BY i.tenant, i.conversation, c.unfinished
    HAVING c.unfinished = count(*)
)
SELECT w.id, i.seq, i.created_at, i.run_at,
    i.conversation IS NULL OR i.seq IN (SELECT seq FROM heads) AS is_head,
    CASE WHEN k.task_id <> w.id THEN k.task_id END AS replay_of,
    k.body_hash = coalesce(w.body_hash, ''::bytea) AS same_body
FROM wish w
LEFT JOIN inserted i ON i.id = w.id
LEFT JOIN keyed k ON k.tenant = w.tenant AND k.key = w.idempotency_key;

-- name: accepted_before
-- What an earlier, unanswered try of accept_tasks inserted.
SELECT t.id, t.seq, t.created_at, t.run_at,
    t.conversation IS NULL OR EXISTS (SELECT FROM places p WHERE p.id = t.id) AS is_head
FROM unnest($1::uuid[]) AS w (id) JOIN tasks t ON t.id = w.id;

-- name: withdraw_task
-- Deletes a task that nobody has started and that stands behind another in its conversation, and its idempotency key; returns the task that stays.
WITH locked AS MATERIALIZED (
    SELECT id, tenant, conversation, idempotency_key,
        status = 'queued' AND attempt = 0 AND EXISTS (
            SELECT FROM tasks e
            WHERE e.tenant = t.tenant AND e.conversation = t.conversation AND e.seq < t.seq
              AND e.status IN ('queued', 'running', 'waiting')) AS is_behind
    FROM tasks t WHERE id = $1 AND tenant = $2
    FOR UPDATE OF t
),
erased AS (
    DELETE FROM tasks t USING locked l WHERE t.id = l.id AND l.is_behind
    RETURNING t.id, l.tenant, l.conversation, l.idempotency_key
),
keyed AS (
    DELETE FROM idempotency_keys k USING erased e
    WHERE k.tenant = e.tenant AND k.key = e.idempotency_key AND k.task_id = e.id
),
talked AS (
    UPDATE conversations c SET unfinished = c.unfinished - 1, touched_at = now()
    FROM erased e WHERE c.tenant = e.tenant AND c.name = e.conversation
)
SELECT id FROM locked WHERE NOT is_behind;
