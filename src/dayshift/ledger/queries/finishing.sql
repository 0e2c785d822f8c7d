-- name: finish_tasks
-- Records each outcome whose attempt still runs and frees its conversation; answers 'recorded', 'again' for a repeat, or 'superseded'.
-- Rows are locked by themselves, see start_tasks.
WITH wish AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::uuid[], $5::text[], $6::bytea[], $7::text[], $8::text[],
            $9::boolean[], $10::float8[], $11::bytea[], $12::bytea[], $13::bytea[], $14::timestamptz[], $15::int[], $16::bytea[]) WITH ORDINALITY
        AS w (id, attempt, worker, finish, outcome, output, code, message, retryable, delay_seconds, usage, timing, waiting_for,
            wake_at, wakes, notice, n)
),
locked AS MATERIALIZED (
    SELECT id, status, attempt, worker_id, finish_id, run_at, finished_at, expires_at, cancel_requested_at, tenant, conversation,
        error_code, error_message, error_retryable, wakes, wake_at
    FROM tasks
    WHERE id = ANY ($1::uuid[])
    ORDER BY id
    FOR NO KEY UPDATE
),
met AS MATERIALIZED (
    SELECT w.attempt AS wish_attempt, w.worker, w.finish, w.outcome, w.output, w.code, w.message, w.retryable,
        coalesce(w.delay_seconds, 0) AS delay_seconds, w.usage, w.timing,
        w.waiting_for, w.notice, w.wake_at, w.wakes AS wish_wakes, t.wakes, t.wake_at AS kept_wake_at, t.id, t.status, t.attempt, t.worker_id, t.finish_id, t.run_at, t.finished_at, t.expires_at,
        t.cancel_requested_at, t.tenant, t.conversation, t.error_code, t.error_message, t.error_retryable
    FROM wish w JOIN locked t ON t.id = w.id
),
judged AS MATERIALIZED (
    SELECT l.*,
        CASE
            WHEN l.finish_id = l.finish THEN 'again'
            WHEN l.status = 'running' AND l.attempt = l.wish_attempt AND l.worker_id = l.worker THEN 'recorded'
            ELSE 'superseded'
        END AS ruling,
        CASE
            WHEN l.outcome IN ('succeeded', 'failed', 'cancelled') THEN l.outcome
            WHEN l.cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN l.outcome = 'parked' AND l.wakes = l.wish_wakes THEN 'waiting'
            WHEN l.outcome = 'retry' AND l.expires_at <= now() + l.delay_seconds * interval '1 second' THEN 'failed'
            ELSE 'queued'
        END AS new_status,
        CASE WHEN l.outcome = 'retry' THEN date_trunc('milliseconds', now() + l.delay_seconds * interval '1 second')
            WHEN l.outcome = 'parked' THEN date_trunc('milliseconds', now())
            ELSE l.run_at END AS new_run_at
    FROM met l
),
-- The error that stands at the end: that of the attempt, unless the ledger itself ended the task.
ruled AS MATERIALIZED (
    SELECT j.*,
        CASE
            WHEN j.new_status = 'succeeded' THEN NULL
            WHEN j.new_status = 'cancelled' THEN coalesce(CASE WHEN j.outcome = 'cancelled' THEN j.code END, 'cancelled')
            WHEN j.new_status = 'failed' AND j.outcome = 'retry' THEN 'expired'
            WHEN j.outcome IN ('given_back', 'parked') THEN j.error_code
            ELSE coalesce(j.code, 'agent_error')
        END AS new_code,
        CASE
            WHEN j.new_status = 'succeeded' THEN NULL
            WHEN j.new_status = 'cancelled' THEN
                coalesce(CASE WHEN j.outcome = 'cancelled' THEN j.message END, 'cancelled on request')
            WHEN j.new_status = 'failed' AND j.outcome = 'retry' THEN
                'expires_at passes before the next try; last error: ' || coalesce(j.message, 'unknown')
            WHEN j.outcome IN ('given_back', 'parked') THEN j.error_message
            ELSE coalesce(j.message, '')
        END AS new_message,
        CASE
            WHEN j.new_status = 'succeeded' THEN NULL
            WHEN j.new_status IN ('cancelled') OR (j.new_status = 'failed' AND j.outcome = 'retry') THEN false
            WHEN j.outcome IN ('given_back', 'parked') THEN j.error_retryable
            ELSE coalesce(j.retryable, false)
        END AS new_retryable
    FROM judged j
),
talks AS MATERIALIZED (
    SELECT c.tenant, c.name
    FROM (SELECT DISTINCT tenant, conversation FROM ruled
          WHERE conversation IS NOT NULL AND ruling = 'recorded' AND new_status NOT IN ('queued', 'waiting')) r
    JOIN conversations c ON c.tenant = r.tenant AND c.name = r.conversation
    ORDER BY c.tenant, c.name
    FOR NO KEY UPDATE OF c
),
written AS (
    UPDATE tasks t SET
        status          = r.new_status,
        run_at          = r.new_run_at,
        finished_at     = CASE WHEN r.new_status NOT IN ('queued', 'waiting') THEN now() END,
        waiting_for     = CASE WHEN r.new_status = 'waiting' THEN r.waiting_for END,
        notice          = CASE WHEN r.new_status = 'waiting' THEN r.notice END,
        wake_at         = CASE WHEN r.new_status = 'waiting' THEN date_trunc('milliseconds', least(r.wake_at, r.expires_at)) END,
        worker_id       = NULL,
        finish_id       = r.finish,
        failures        = t.failures + (r.outcome IN ('retry', 'failed'))::int,
        poison_losses   = CASE WHEN r.outcome = 'given_back' THEN t.poison_losses ELSE 0 END,
        output          = CASE WHEN r.new_status = 'succeeded' THEN coalesce(r.output, 'null'::bytea) END,
        error_code      = r.new_code,
        error_message   = r.new_message,
        error_retryable = r.new_retryable,
        usage           = r.usage,
        timing          = r.timing
    FROM ruled r
    WHERE t.id = r.id AND r.ruling = 'recorded'
    /*+ as_it_became */
),
/*+ deliveries */,
talked AS (
    UPDATE conversations c SET holder = NULL, unfinished = c.unfinished - 1, touched_at = now()
    FROM talks k
    WHERE c.tenant = k.tenant AND c.name = k.name
    RETURNING c.tenant, c.name, c.unfinished
)
SELECT w.n, coalesce(r.ruling, 'superseded') AS ruling,
    coalesce(CASE WHEN r.ruling = 'recorded' THEN r.new_status ELSE r.status END, 'cancelled') AS status,
    coalesce(CASE WHEN r.ruling = 'recorded' THEN r.new_run_at ELSE r.run_at END, now()) AS run_at,
    CASE WHEN r.ruling = 'recorded' AND r.new_status = 'waiting' THEN least(r.wake_at, r.expires_at)
        WHEN r.ruling = 'again' THEN r.kept_wake_at END AS wake_at,
    CASE WHEN r.ruling = 'recorded' THEN CASE WHEN r.new_status NOT IN ('queued', 'waiting') THEN now() END ELSE r.finished_at END AS finished_at,
    CASE WHEN r.ruling = 'recorded' THEN r.new_code ELSE r.error_code END AS error_code,
    CASE WHEN r.ruling = 'recorded' THEN r.new_message ELSE r.error_message END AS error_message,
    CASE WHEN r.ruling = 'recorded' THEN r.new_retryable ELSE r.error_retryable END AS error_retryable,
    CASE
        WHEN r.ruling = 'recorded' THEN coalesce(c.unfinished > 0, false)
        WHEN r.ruling = 'again' AND r.finished_at IS NOT NULL AND r.conversation IS NOT NULL THEN coalesce((
            SELECT n.unfinished > 0 FROM conversations n WHERE n.tenant = r.tenant AND n.name = r.conversation), false)
        ELSE false
    END AS has_next,
    r.tenant, (SELECT array_agg(d.id ORDER BY d.seq) FROM told d WHERE d.about = r.id) AS delivery_ids,
    (SELECT array_agg(d.seq ORDER BY d.seq) FROM told d WHERE d.about = r.id) AS delivery_seqs
FROM wish w
LEFT JOIN ruled r ON r.id = w.id
LEFT JOIN talked c ON c.tenant = r.tenant AND c.name = r.conversation;
