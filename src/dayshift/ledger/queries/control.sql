-- name: lock_tasks
-- Locks tasks for the statement that comes next in this transaction, whose snapshot then shows them as they are. In one statement the
-- new row is first made, and held against the table's constraints, from the row as the snapshot has it: of a task whose
-- outcome was committed while the lock was waited for, half would be old and half new. The time is that of the next statement,
-- too: what an attempt did until then was not done after the end.
SELECT id FROM tasks WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: cancel_task
-- Ends a task that waits; asks the worker of one that runs; leaves one that has ended as it is. After lock_tasks.
WITH locked AS MATERIALIZED (
    SELECT id, status, tenant, conversation, worker_id FROM tasks WHERE id = $1 AND tenant = $2 FOR NO KEY UPDATE
),
talks AS MATERIALIZED (
    SELECT c.tenant, c.name, l.id
    FROM locked l JOIN conversations c ON c.tenant = l.tenant AND c.name = l.conversation
    WHERE l.status IN ('queued', 'waiting')
    FOR NO KEY UPDATE OF c
),
written AS (
    UPDATE tasks t SET
        status              = CASE l.status WHEN 'running' THEN 'running' ELSE 'cancelled' END,
        cancel_requested_at = coalesce(t.cancel_requested_at, statement_timestamp()),
        waiting_for         = NULL,
        wake_at             = NULL,
        notice              = NULL,
        finished_at         = CASE WHEN l.status <> 'running' THEN statement_timestamp() END,
        error_code          = CASE l.status WHEN 'running' THEN t.error_code ELSE 'cancelled' END,
        error_message       = CASE l.status WHEN 'running' THEN t.error_message ELSE 'cancelled on request' END,
        error_retryable     = CASE l.status WHEN 'running' THEN t.error_retryable ELSE false END
    FROM locked l
    WHERE t.id = l.id AND l.status IN ('queued', 'running', 'waiting')
    /*+ as_it_became */
),
/*+ deliveries */,
talked AS (
    UPDATE conversations c SET
        unfinished = c.unfinished - 1,
        holder     = CASE WHEN c.holder = k.id THEN NULL ELSE c.holder END,
        touched_at = statement_timestamp()
    FROM talks k
    WHERE c.tenant = k.tenant AND c.name = k.name
    RETURNING c.unfinished
)
SELECT l.status AS was, l.worker_id, coalesce((SELECT unfinished > 0 FROM talked), false) AS has_next,
    (SELECT array_agg(d.id ORDER BY d.seq) FROM told d) AS delivery_ids, (SELECT array_agg(d.seq ORDER BY d.seq) FROM told d) AS delivery_seqs
FROM locked l;

-- name: retry_task
-- Queues a dead letter again, at the end of its line, with no failures counted, for whichever version of the code comes first.
-- After lock_tasks.
-- Its parent, if it has one, is to be told of its next end as well.
WITH locked AS MATERIALIZED (
    SELECT id, status FROM tasks WHERE id = $1 AND tenant = $2 FOR NO KEY UPDATE
),
written AS (
    UPDATE tasks t SET
        status = 'queued', seq = nextval('task_seq'), run_at = date_trunc('milliseconds', statement_timestamp()),
        failures = 0, poison_losses = 0, quarantined = false, claimed_as = NULL, cancel_requested_at = NULL, finished_at = NULL,
        expires_at = CASE WHEN t.expires_at > statement_timestamp() THEN t.expires_at END,
        error_code = NULL, error_message = NULL, error_retryable = NULL, untold_parent = t.parent_id
    FROM locked l
    WHERE t.id = l.id AND l.status = 'failed'
    RETURNING t.id, t.agent AS claimed_as, t.priority, t.tenant, t.seq, t.run_at, t.conversation
),
talked AS (
    INSERT INTO conversations AS c (tenant, name, unfinished)
    SELECT tenant, conversation, 1 FROM written WHERE conversation IS NOT NULL
    ON CONFLICT (tenant, name) DO UPDATE SET unfinished = c.unfinished + 1, touched_at = statement_timestamp()
)
SELECT l.status AS was, w.*, true AS due FROM locked l LEFT JOIN written w ON w.id = l.id;

-- name: erase_task
-- Deletes a task that has ended, its effects and its idempotency key; says which state it found.
WITH locked AS MATERIALIZED (
    SELECT id, status, tenant, idempotency_key FROM tasks WHERE id = $1 AND tenant = $2 FOR UPDATE
),
erased AS (
    DELETE FROM tasks t USING locked l WHERE t.id = l.id AND l.status IN ('succeeded', 'failed', 'cancelled')
    RETURNING t.id
),
forgotten AS (
    DELETE FROM effects f USING erased e WHERE f.task_id = e.id
),
unheard AS (
    DELETE FROM signals s USING erased e WHERE s.task_id = e.id
),
-- What was told of it goes with it; a delivery that is still under way finds nothing to tell.
untold AS (
    DELETE FROM tasks d USING erased e WHERE d.about = e.id AND d.id <> e.id AND d.status IN ('succeeded', 'failed', 'cancelled')
),
keyed AS (
    DELETE FROM idempotency_keys k USING locked l, erased e
    WHERE l.id = e.id AND k.tenant = l.tenant AND k.key = l.idempotency_key AND k.task_id = l.id
)
SELECT l.status AS was, e.id IS NOT NULL AS erased FROM locked l LEFT JOIN erased e ON e.id = l.id;
