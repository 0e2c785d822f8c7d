-- name: register_worker
-- Makes a worker's row, alive from now on; false when that id has been released before.
INSERT INTO workers AS w (id, pid, host, version, agents, slots) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE SET pid = excluded.pid, host = excluded.host, version = excluded.version,
    agents = excluded.agents, slots = excluded.slots, seen_at = clock_timestamp()
RETURNING w.released_at IS NULL AS alive;

-- name: beat_worker
-- Renews a lease that is not released, and answers what the worker must know; no lease, no renewal.
WITH beat AS (
    UPDATE workers SET seen_at = clock_timestamp(), running = $2, draining = $3, loop_lag_seconds = $4
    WHERE id = $1 AND released_at IS NULL
    RETURNING id
)
SELECT NOT EXISTS (SELECT FROM beat) AS released, p.epoch,
    ARRAY(SELECT t.id FROM tasks t WHERE t.status = 'running' AND t.worker_id = $1 AND t.cancel_requested_at IS NOT NULL) AS cancels
FROM plane_state p;

-- name: release_worker
-- Declares a worker dead for good, once; with $3, only if it has been silent for that many seconds.
UPDATE workers SET released_at = clock_timestamp(), release_reason = $2, released_alive = $4
WHERE id = $1 AND released_at IS NULL
  AND ($3::float8 IS NULL OR seen_at < clock_timestamp() - $3::float8 * interval '1 second')
RETURNING id;

-- name: note_outlived
-- Notes that the process of a released worker is alive, for whoever has not taken its tasks over yet.
UPDATE workers SET released_alive = true WHERE id = $1 AND released_at IS NOT NULL AND NOT released_alive;

-- name: silent_workers
-- Workers to look after: not released but silent for $1 seconds, released a moment ago (its rescue may have been cut short), or released and still shown as running something.
SELECT w.id FROM workers w
WHERE (w.released_at IS NULL AND w.seen_at < clock_timestamp() - $1::float8 * interval '1 second')
   OR w.released_at > clock_timestamp() - interval '1 minute'
   OR (w.released_at IS NOT NULL AND EXISTS (SELECT FROM tasks t WHERE t.status = 'running' AND t.worker_id = w.id))
ORDER BY w.id;

-- name: list_workers
-- The workers that are not released, newest last.
SELECT id, pid, host, version, agents, slots, running, draining, loop_lag_seconds, seen_at, released_at
FROM workers WHERE released_at IS NULL ORDER BY id;

-- name: remove_old_workers
-- Deletes the rows of workers released more than $1 seconds ago that nothing refers to any more.
DELETE FROM workers w
WHERE w.released_at < clock_timestamp() - $1::float8 * interval '1 second'
  AND NOT EXISTS (SELECT FROM tasks t WHERE t.status = 'running' AND t.worker_id = w.id)
RETURNING w.id;

-- name: poll
-- The counters that tell a process to look again, the cancels for one worker ($1, or NULL), and the time.
SELECT clock_timestamp() AS now, v.settings, v.keys, v.registry, p.epoch,
    ARRAY(SELECT t.id FROM tasks t WHERE t.status = 'running' AND t.worker_id = $1 AND t.cancel_requested_at IS NOT NULL) AS cancels
FROM versions v CROSS JOIN plane_state p;
