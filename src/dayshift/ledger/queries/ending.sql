-- name: fail_expired
-- Ends up to $1 queued tasks whose time to start has passed. Their order names the index that must find them: by id, a
-- planner without statistics would walk everything that is queued. Locked rows are skipped, so no order can deadlock.
WITH locked AS MATERIALIZED (
    SELECT id, tenant, conversation FROM tasks
    WHERE status = 'queued' AND expires_at <= now()
    ORDER BY expires_at LIMIT $1
    FOR NO KEY UPDATE SKIP LOCKED
),
talks AS MATERIALIZED (
    SELECT c.tenant, c.name
    FROM (SELECT DISTINCT tenant, conversation FROM locked WHERE conversation IS NOT NULL) l
    JOIN conversations c ON c.tenant = l.tenant AND c.name = l.conversation
    ORDER BY c.tenant, c.name
    FOR NO KEY UPDATE OF c
),
written AS (
    UPDATE tasks t SET status = 'failed', finished_at = now(), error_code = 'expired', error_retryable = false,
        error_message = 'expires_at passed while the task was not running'
    FROM locked l WHERE t.id = l.id
    /*+ as_it_became */
),
/*+ deliveries */,
ended AS (
    SELECT tenant, conversation, count(*) AS number, array_agg(id) AS ids
    FROM locked WHERE conversation IS NOT NULL GROUP BY tenant, conversation
),
talked AS (
    UPDATE conversations c SET
        unfinished = c.unfinished - e.number,
        holder     = CASE WHEN c.holder = ANY (e.ids) THEN NULL ELSE c.holder END,
        touched_at = now()
    FROM talks k JOIN ended e ON e.tenant = k.tenant AND e.conversation = k.name
    WHERE c.tenant = k.tenant AND c.name = k.name
)
SELECT id FROM locked;

-- name: fail_poison
-- Ends the tasks that a dead worker ran in quarantine: they killed their process although they were alone in it. Where nobody
-- saw that process die ($2), it may only be cut off, and so many such losses ($3) must have come together first. What recorded
-- an effect came further than before, and is tried again.
WITH locked AS MATERIALIZED (
    SELECT t.id, t.tenant, t.conversation
    FROM workers w JOIN tasks t ON t.worker_id = w.id AND t.status = 'running'
    WHERE w.id = $1 AND w.released_at IS NOT NULL AND NOT w.released_alive AND t.quarantined
        AND ($2 OR t.poison_losses + 1 >= $3)
        AND NOT EXISTS (SELECT FROM effects e WHERE e.task_id = t.id AND e.attempt = t.attempt)
    ORDER BY t.id
    FOR NO KEY UPDATE OF t
),
talks AS MATERIALIZED (
    SELECT c.tenant, c.name
    FROM (SELECT DISTINCT tenant, conversation FROM locked WHERE conversation IS NOT NULL) l
    JOIN conversations c ON c.tenant = l.tenant AND c.name = l.conversation
    ORDER BY c.tenant, c.name
    FOR NO KEY UPDATE OF c
),
written AS (
    UPDATE tasks t SET status = 'failed', finished_at = now(), worker_id = NULL,
        losses = t.losses + 1, poison_losses = t.poison_losses + 1,
        error_code = 'poison', error_retryable = false,
        error_message = 'its process died ' || t.poison_losses + 1 || ' times in a row, the last time running this task alone'
    FROM locked l WHERE t.id = l.id
    /*+ as_it_became */
),
/*+ deliveries */,
talked AS (
    UPDATE conversations c SET unfinished = c.unfinished - 1, holder = NULL, touched_at = now()
    FROM talks k WHERE c.tenant = k.tenant AND c.name = k.name
)
SELECT id FROM locked;
