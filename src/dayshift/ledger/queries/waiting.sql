-- name: lock_attempts
-- Locks the tasks whose attempts still run, so that nothing is said to them until this transaction ends; how often something came.
-- Rows are locked by themselves, see start_tasks.
WITH locked AS MATERIALIZED (
    SELECT id, status, attempt, worker_id, wakes FROM tasks WHERE id = ANY ($1::uuid[]) ORDER BY id FOR SHARE
)
SELECT w.n, l.wakes
FROM unnest($1::uuid[], $2::int[], $3::uuid[]) WITH ORDINALITY AS w (task, attempt, worker, n)
JOIN locked l ON l.id = w.task
WHERE l.status = 'running' AND l.attempt = w.attempt AND l.worker_id = w.worker;

-- name: bind_signals
-- Gives signals that came before their waits to the first open wait of their name.
UPDATE signals s SET wait_id = w.id
FROM (
    SELECT DISTINCT ON (e.task_id, e.name) e.task_id, e.name, e.id
    FROM effects e
    WHERE e.task_id = ANY ($1::uuid[]) AND e.kind = 'signal' AND e.status = 'started'
      AND NOT EXISTS (SELECT FROM signals b WHERE b.task_id = e.task_id AND b.wait_id = e.id)
    ORDER BY e.task_id, e.name, e.id
) w
WHERE s.task_id = w.task_id AND s.name = w.name AND s.wait_id IS NULL;

-- name: time_out_waits
-- Ends the open waits for signals whose time is over and that were not answered, with $2 as their result. Says which have timed
-- out, now or before: of a look whose answer was lost nobody knows what it ended.
WITH ended AS (
    UPDATE effects e SET status = 'failed', finished_at = now(), result = $2
    WHERE e.task_id = ANY ($1::uuid[]) AND e.kind = 'signal' AND e.status = 'started' AND e.due_at <= now()
      AND NOT EXISTS (SELECT FROM signals s WHERE s.task_id = e.task_id AND s.wait_id = e.id)
    RETURNING e.id, e.task_id
)
SELECT id, task_id FROM ended
UNION ALL
SELECT e.id, e.task_id FROM effects e
WHERE e.task_id = ANY ($1::uuid[]) AND e.kind = 'signal' AND e.status = 'failed' AND e.due_at <= now();

-- name: answered_waits
-- The open waits of these tasks that have their answer: a signal, or a child that has ended or is gone.
SELECT e.id, e.task_id, s.payload, c.status, c.output, c.error_code, c.error_message
FROM effects e
LEFT JOIN signals s ON s.task_id = e.task_id AND s.wait_id = e.id
LEFT JOIN tasks c ON e.kind = 'child' AND c.id = e.id
WHERE e.task_id = ANY ($1::uuid[]) AND e.status = 'started'
  AND CASE e.kind WHEN 'signal' THEN s.id IS NOT NULL WHEN 'child' THEN c.id IS NULL OR c.finished_at IS NOT NULL ELSE false END;

-- name: lock_for_signal
-- Locks a tenant's task for what is said to it.
SELECT status FROM tasks WHERE id = $1 AND tenant = $2 FOR NO KEY UPDATE;

-- name: signals_of_name
-- What was said to a task under a name, and whether the wait that it answers is still open.
SELECT s.wait_id, coalesce(e.status = 'started', true) AS is_unread
FROM signals s LEFT JOIN effects e ON e.task_id = s.task_id AND e.id = s.wait_id
WHERE s.task_id = $1 AND s.name = $2;

-- name: waits_of_name
-- A task's waits for a name, in the order in which they began.
SELECT id, status FROM effects WHERE task_id = $1 AND kind = 'signal' AND name = $2 ORDER BY id;

-- name: keep_signal
-- Writes down what was said, as the answer to a wait or (NULL) for the next one of that name.
INSERT INTO signals (task_id, name, id, wait_id, payload) VALUES ($1, $2, $3, $4, $5);

-- name: wake_tasks
-- Something came that these tasks may wait for: those that are parked are queued, those that run are told who runs them.
-- In a transaction that has locked them.
WITH locked AS MATERIALIZED (
    SELECT id, status FROM tasks WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE
)
UPDATE tasks t SET
    wakes       = t.wakes + 1,
    status      = CASE l.status WHEN 'waiting' THEN 'queued' ELSE t.status END,
    run_at      = CASE l.status WHEN 'waiting' THEN date_trunc('milliseconds', statement_timestamp()) ELSE t.run_at END,
    waiting_for = NULL,
    notice      = NULL,
    wake_at     = NULL
FROM locked l
WHERE t.id = l.id AND l.status IN ('waiting', 'running')
RETURNING t.id, coalesce(t.claimed_as, t.agent) AS claimed_as, t.priority, t.tenant, t.seq, t.run_at, true AS due, t.status, t.worker_id, t.attempt, t.queue;

-- name: waking_page
-- Parked tasks that wake by themselves within $1 seconds, the nearest first, from behind a time and seq; those whose time is over among them.
SELECT id, coalesce(claimed_as, agent) AS claimed_as, priority, tenant, seq, wake_at AS run_at, false AS due FROM tasks
WHERE status = 'waiting' AND wake_at <= now() + $1::float8 * interval '1 second' AND (wake_at, seq) > ($2::timestamptz, $3::bigint)
ORDER BY wake_at, seq LIMIT $4;

-- name: wake_overdue
-- Queues up to $2 parked tasks whose time has been over for more than $1 seconds. Locked rows are skipped, so no order can deadlock.
WITH due AS MATERIALIZED (
    SELECT id FROM tasks
    WHERE status = 'waiting' AND wake_at <= now() - $1::float8 * interval '1 second'
    ORDER BY wake_at LIMIT $2
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE tasks t SET status = 'queued', run_at = t.wake_at, waiting_for = NULL, notice = NULL, wake_at = NULL
FROM due d WHERE t.id = d.id
RETURNING t.id, coalesce(t.claimed_as, t.agent) AS claimed_as, t.priority, t.tenant, t.seq, t.run_at, true AS due;

-- name: spawn_children
-- Writes each effect whose attempt still runs together with the task that it stands for, both or neither.
-- Rows are locked by themselves, see start_tasks.
WITH wish AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::uuid[], $5::bytea[], $6::int[], $7::text[], $8::timestamptz[],
            $9::bytea[], $10::bytea[], $11::text[], $12::text[], $13::bytea[], $14::text[], $15::text[]) WITH ORDINALITY
        AS w (task, attempt, worker, id, key, occurrence, name, started_at, digests, emits, agent, queue, input, scope, preview, n)
),
locked AS MATERIALIZED (
    SELECT id, status, attempt, worker_id, cancel_requested_at, tenant, priority, user_name, trace_id, depth, metadata, expires_at
    FROM tasks
    WHERE id = ANY ($1::uuid[])
    ORDER BY id
    FOR SHARE
),
met AS MATERIALIZED (
    SELECT w.*, t.status = 'running' AND t.attempt = w.attempt AND t.worker_id = w.worker AS is_running,
        t.cancel_requested_at IS NOT NULL AS is_cancelled, t.tenant, t.priority, t.user_name, t.trace_id, t.depth,
        t.metadata, t.expires_at
    FROM wish w JOIN locked t ON t.id = w.task
),
written AS (
    INSERT INTO effects (task_id, key, occurrence, id, attempt, kind, name, status, started_at, digests, emits, scope, preview)
    SELECT task, key, occurrence, id, attempt, 'child', name, 'started', started_at, digests, emits, scope, preview
    FROM met WHERE is_running
    ORDER BY task, key, occurrence
    ON CONFLICT (task_id, key, occurrence) DO NOTHING
    RETURNING id
),
child AS (
    INSERT INTO tasks (id, tenant, agent, queue, input, priority, user_name, run_at, expires_at, metadata, trace_id, parent_id,
        untold_parent, depth)
    SELECT l.id, l.tenant, l.agent, l.queue, l.input, l.priority, l.user_name, date_trunc('milliseconds', now()), l.expires_at,
        l.metadata, l.trace_id, l.task, l.task, l.depth + 1
    FROM met l JOIN written e ON e.id = l.id
    ON CONFLICT (id) DO NOTHING
    RETURNING id, agent, priority, tenant, seq, run_at, queue, trace_id
),
-- A repeat finds the child; whoever asked first may never have heard of it, and told nobody where it is queued.
queued AS (
    SELECT * FROM child
    UNION ALL
    SELECT t.id, t.agent, t.priority, t.tenant, t.seq, t.run_at, t.queue, t.trace_id
    FROM tasks t WHERE t.id = ANY ($4::uuid[]) AND t.status = 'queued'
)
SELECT w.n, coalesce(l.is_cancelled, false) AS is_cancelled, c.id, c.agent AS claimed_as, c.priority, c.tenant, c.seq, c.run_at, c.queue,
    c.trace_id, true AS due,
    CASE WHEN NOT coalesce(l.is_running, false) THEN 'superseded'
        WHEN e.id IS NOT NULL OR EXISTS (SELECT FROM effects o WHERE o.task_id = w.task AND o.id = w.id) THEN 'recorded'
        ELSE 'stored' END AS ruling
FROM wish w
LEFT JOIN met l ON l.n = w.n
LEFT JOIN written e ON e.id = w.id
LEFT JOIN queued c ON c.id = w.id;

-- name: untold_children
-- Tasks that have ended and whose parents were not told yet, the longest first.
SELECT id, untold_parent FROM tasks
WHERE untold_parent IS NOT NULL AND finished_at IS NOT NULL
ORDER BY finished_at LIMIT $1;

-- name: note_told
-- Their parents know that these have ended. What was queued again meanwhile will end once more.
UPDATE tasks SET untold_parent = NULL WHERE id = ANY ($1::uuid[]) AND untold_parent IS NOT NULL AND finished_at IS NOT NULL;

-- name: unfinished_children
-- The children of a task that have not ended.
SELECT id, tenant FROM tasks WHERE parent_id = $1 AND status IN ('queued', 'running', 'waiting');

-- name: orphans
-- Unfinished children whose parents have succeeded or were cancelled: nobody waits for them.
SELECT c.id, c.tenant FROM tasks c JOIN tasks p ON p.id = c.parent_id
WHERE c.parent_id IS NOT NULL AND c.status IN ('queued', 'running', 'waiting') AND p.status IN ('succeeded', 'cancelled')
LIMIT $1;
