-- name: start_tasks
-- Grants each wish that the rules of starting.py allow, ends what is found cancelled or expired, and says of every other why not.
-- Rows are locked by themselves, and the wishes come to them afterwards. Where they are locked in a join with the wishes,
-- PostgreSQL 18 loses, at times, a row that changed while its lock was waited for: the row is read again, and its wish is
-- not found beside it. The task then seems to be gone.
WITH wish AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::boolean[], $5::uuid[]) WITH ORDINALITY
        AS w (id, worker, version, quarantine, start, n)
),
locked AS MATERIALIZED (
    SELECT id, status, seq, created_at, CASE WHEN status = 'waiting' THEN wake_at ELSE run_at END AS run_at, started_at, expires_at,
        cancel_requested_at, worker_id, start_id, finish_id, timeout_seconds, attempt, failures, losses, poison_losses, priority,
        tenant, agent, queue, user_name, conversation, trace_id, error_code, usage, timing, metadata, input, wakes, parent_id,
        depth, claimed_as
    FROM tasks
    WHERE id = ANY ($1::uuid[])
    ORDER BY id
    FOR NO KEY UPDATE
),
met AS MATERIALIZED (
    SELECT w.worker, w.version, coalesce(w.quarantine, false) AS quarantine, w.start, t.* FROM wish w JOIN locked t ON t.id = w.id
),
blamed AS MATERIALIZED (
    SELECT l.*,
        l.status = 'running' AND NOT EXISTS (
            SELECT FROM workers a WHERE a.id = l.worker_id AND a.released_alive) AS its_process_died,
        l.status = 'running' AND EXISTS (
            SELECT FROM effects e WHERE e.task_id = l.id AND e.attempt = l.attempt) AS it_came_further
    FROM met l
),
suspected AS MATERIALIZED (
    SELECT b.*, CASE WHEN b.it_came_further THEN 0 ELSE b.poison_losses + b.its_process_died::int END AS deaths FROM blamed b
),
judged AS MATERIALIZED (
    SELECT l.*, CASE
        WHEN l.status = 'running' AND l.start_id = l.start AND l.worker_id = l.worker THEN 'again'
        WHEN l.status IN ('failed', 'cancelled') AND l.finish_id = l.start THEN
            CASE l.status WHEN 'failed' THEN 'expired_before' ELSE 'cancelled_before' END
        WHEN l.status IN ('succeeded', 'failed', 'cancelled') THEN 'final'
        WHEN l.status = 'waiting' AND l.run_at IS NULL THEN 'waiting'
        WHEN NOT EXISTS (SELECT FROM workers a WHERE a.id = l.worker AND a.released_at IS NULL) THEN 'worker_released'
        WHEN l.status = 'running' AND EXISTS (
            SELECT FROM workers a WHERE a.id = l.worker_id AND a.released_at IS NULL) THEN 'running'
        WHEN l.cancel_requested_at IS NOT NULL THEN 'cancelled'
        WHEN l.expires_at <= now() THEN 'expired'
        WHEN l.status IN ('queued', 'waiting') AND l.run_at > now() THEN 'not_due'
        WHEN l.claimed_as IS NOT NULL AND l.claimed_as <> ALL ($7::text[]) THEN 'wrong_version'
        WHEN l.deaths >= 2 AND NOT l.quarantine THEN 'quarantine'
        ELSE 'granted'
    END AS verdict
    FROM suspected l
),
talks AS MATERIALIZED (
    SELECT c.tenant, c.name, c.holder
    FROM (SELECT DISTINCT tenant, conversation FROM judged
          WHERE conversation IS NOT NULL AND verdict IN ('granted', 'cancelled', 'expired')) j
    JOIN conversations c ON c.tenant = j.tenant AND c.name = j.conversation
    ORDER BY c.tenant, c.name
    FOR NO KEY UPDATE OF c
),
ruled AS MATERIALIZED (
    SELECT j.*, CASE
        WHEN j.verdict <> 'granted' OR j.conversation IS NULL OR c.holder = j.id THEN j.verdict
        WHEN c.holder IS NOT NULL THEN 'conversation_busy'
        WHEN EXISTS (
            SELECT FROM tasks e
            WHERE e.tenant = j.tenant AND e.conversation = j.conversation AND e.seq < j.seq AND e.status = 'queued'
        ) THEN 'conversation_busy'
        ELSE 'granted'
    END AS ruling
    FROM judged j LEFT JOIN talks c ON c.tenant = j.tenant AND c.name = j.conversation
),
written AS (
    UPDATE tasks t SET
        status        = CASE r.ruling WHEN 'granted' THEN 'running' WHEN 'expired' THEN 'failed' ELSE 'cancelled' END,
        attempt       = t.attempt + (r.ruling = 'granted')::int,
        losses        = t.losses + (t.status = 'running')::int,
        poison_losses = r.deaths,
        worker_id     = CASE WHEN r.ruling = 'granted' THEN r.worker END,
        start_id      = CASE WHEN r.ruling = 'granted' THEN r.start ELSE t.start_id END,
        version       = CASE WHEN r.ruling = 'granted' THEN r.version ELSE t.version END,
        run_at        = r.run_at,
        waiting_for   = NULL,
        wake_at       = NULL,
        notice        = NULL,
        claimed_as    = CASE WHEN r.ruling = 'granted' THEN coalesce(t.claimed_as, ($7::text[])[array_position($6::text[], t.agent)])
            ELSE t.claimed_as END,
        quarantined   = CASE WHEN r.ruling = 'granted' THEN r.quarantine ELSE t.quarantined END,
        started_at    = CASE WHEN r.ruling = 'granted' THEN coalesce(t.started_at, now()) ELSE t.started_at END,
        finished_at   = CASE WHEN r.ruling <> 'granted' THEN now() END,
        finish_id     = CASE WHEN r.ruling <> 'granted' THEN r.start ELSE t.finish_id END,
        error_code    = CASE r.ruling WHEN 'expired' THEN 'expired' WHEN 'cancelled' THEN 'cancelled' ELSE t.error_code END,
        error_message = CASE r.ruling
            WHEN 'expired' THEN 'expires_at passed while the task was not running'
            WHEN 'cancelled' THEN 'cancelled on request' ELSE t.error_message END,
        error_retryable = CASE WHEN r.ruling IN ('expired', 'cancelled') THEN false ELSE t.error_retryable END
    FROM ruled r
    WHERE t.id = r.id AND r.ruling IN ('granted', 'expired', 'cancelled')
    /*+ as_it_became */
),
/*+ deliveries */,
moves AS (
    SELECT tenant, conversation,
        (array_agg(id) FILTER (WHERE ruling = 'granted'))[1] AS granted,
        coalesce(array_agg(id) FILTER (WHERE ruling <> 'granted'), '{}') AS ended
    FROM ruled
    WHERE conversation IS NOT NULL AND ruling IN ('granted', 'expired', 'cancelled')
    GROUP BY tenant, conversation
),
talked AS (
    UPDATE conversations c SET
        holder     = coalesce(m.granted, CASE WHEN c.holder = ANY (m.ended) THEN NULL ELSE c.holder END),
        unfinished = c.unfinished - cardinality(m.ended),
        touched_at = now()
    FROM moves m
    WHERE c.tenant = m.tenant AND c.name = m.conversation
)
SELECT w.n, coalesce(r.ruling, 'gone') AS ruling, r.status = 'running' AS was_running,
    r.run_at, r.attempt, r.failures, r.losses, r.agent, r.queue, r.tenant, r.user_name, r.conversation, r.priority,
    r.seq, CASE WHEN r.ruling IN ('granted', 'again') THEN r.input END AS input, r.timeout_seconds, r.expires_at,
    r.created_at, coalesce(r.started_at, now()) AS started_at, r.trace_id, r.metadata, r.usage, r.timing,
    r.wakes, r.parent_id, r.depth,
    CASE WHEN r.ruling = 'granted' THEN coalesce(r.claimed_as, ($7::text[])[array_position($6::text[], r.agent)])
        ELSE r.claimed_as END AS claimed_as
FROM wish w
LEFT JOIN ruled r ON r.id = w.id;
