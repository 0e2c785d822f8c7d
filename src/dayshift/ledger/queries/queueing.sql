-- name: place_of
-- Where one task stands, if it is queued and nothing stands before it in its conversation, or parked until a time.
WITH one AS MATERIALIZED (
    SELECT id, coalesce(claimed_as, agent) AS claimed_as, priority, tenant, seq, wake_at, status FROM tasks WHERE id = $1
)
SELECT id, claimed_as, priority, tenant, seq, run_at, run_at <= now() AS due FROM places WHERE id = $1
UNION ALL
SELECT id, claimed_as, priority, tenant, seq, wake_at, wake_at <= now() FROM one WHERE status = 'waiting' AND wake_at IS NOT NULL;

-- name: lane_page
-- The ready tasks of one lane from a seq on, in order.
SELECT id, claimed_as, priority, tenant, seq, run_at, true AS due FROM places
WHERE claimed_as = $1 AND priority = $2 AND tenant = $3 AND seq >= $4 AND run_at <= now()
ORDER BY seq LIMIT $5;

-- name: announceable
-- Tasks that have been ready for longer than $1 and at most $2 seconds, the longest first.
SELECT id, claimed_as, priority, tenant, seq, run_at, true AS due FROM places
WHERE run_at >= now() - $2::float8 * interval '1 second' AND run_at < now() - $1::float8 * interval '1 second'
ORDER BY run_at, seq LIMIT $3;

-- name: delayed_page
-- Tasks that became ready in the last $1 seconds or will within $2, the nearest first, from behind a run_at and seq.
SELECT id, claimed_as, priority, tenant, seq, run_at, false AS due FROM places
WHERE run_at > now() - $1::float8 * interval '1 second' AND run_at <= now() + $2::float8 * interval '1 second'
  AND (run_at, seq) > ($3::timestamptz, $4::bigint)
ORDER BY run_at, seq LIMIT $5;

-- name: lanes_after
-- The lanes that queued tasks stand in, by name, behind one of them. A loose scan: the first entry of each lane, then a jump.
WITH RECURSIVE lane AS (
    (SELECT coalesce(claimed_as, agent) AS claimed_as, priority, tenant FROM tasks
     WHERE status = 'queued' AND (coalesce(claimed_as, agent), priority, tenant) > ($1, $2, $3)
     ORDER BY coalesce(claimed_as, agent), priority, tenant LIMIT 1)
    UNION ALL
    SELECT n.claimed_as, n.priority, n.tenant FROM lane l CROSS JOIN LATERAL (
        SELECT coalesce(t.claimed_as, t.agent) AS claimed_as, t.priority, t.tenant FROM tasks t
        WHERE t.status = 'queued' AND (coalesce(t.claimed_as, t.agent), t.priority, t.tenant) > (l.claimed_as, l.priority, l.tenant)
        ORDER BY coalesce(t.claimed_as, t.agent), t.priority, t.tenant LIMIT 1
    ) n
)
SELECT claimed_as, priority, tenant FROM lane LIMIT $4;

-- name: heads_of_lanes
-- The first ready tasks of each of these lanes, at most $4 of one.
SELECT p.id, p.claimed_as, p.priority, p.tenant, p.seq, p.run_at, true AS due
FROM unnest($1::text[], $2::smallint[], $3::text[]) WITH ORDINALITY AS l (claimed_as, priority, tenant, nth)
CROSS JOIN LATERAL (
    SELECT * FROM places q
    WHERE q.claimed_as = l.claimed_as AND q.priority = l.priority AND q.tenant = l.tenant AND q.run_at <= now()
    ORDER BY q.seq LIMIT $4
) p
ORDER BY l.nth, p.seq;

-- name: running_of
-- What one worker runs, by the ledger.
SELECT id, coalesce(claimed_as, agent) AS claimed_as, priority, tenant, seq, run_at, true AS due FROM tasks
WHERE status = 'running' AND worker_id = $1 ORDER BY seq;

-- name: running_by_live_workers
-- What all workers run that are not released.
SELECT t.id, coalesce(t.claimed_as, t.agent) AS claimed_as, t.priority, t.tenant, t.seq, t.run_at, true AS due, t.worker_id
FROM workers w JOIN tasks t ON t.worker_id = w.id AND t.status = 'running'
WHERE w.released_at IS NULL;

-- name: conversation_heads
-- Of each conversation the task whose turn it is, if it is queued: the holder, or else the first.
SELECT p.id, p.claimed_as, p.priority, p.tenant, p.seq, p.run_at, p.run_at <= now() AS due
FROM unnest($1::text[], $2::text[]) AS w (tenant, name)
CROSS JOIN LATERAL (
    SELECT * FROM places q
    WHERE q.tenant = w.tenant AND q.conversation = w.name AND q.conversation IS NOT NULL
    ORDER BY q.seq LIMIT 1
) p;

