-- name: create_schedule
-- Makes a schedule, unless its tenant has $14 already; answers the one of that name, which is another one if the name is taken.
INSERT INTO schedules (id, tenant, name, cron, time_zone, every_seconds, start_at, at, catch_up, task, created_at, updated_at, next_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
WHERE (SELECT count(*) FROM schedules WHERE tenant = $2 AND id <> $1) < $14::int
ON CONFLICT (tenant, name) DO UPDATE SET name = excluded.name
RETURNING *;

-- name: list_schedules
-- A tenant's schedules below an id, newest first.
SELECT * FROM schedules WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3;

-- name: get_schedule
-- A schedule of a tenant.
SELECT * FROM schedules WHERE tenant = $1 AND id = $2;

-- name: change_schedule
-- Writes what a person may change of a schedule, if it is at the revision $2 and nobody else has its name.
UPDATE schedules s SET
    name = $3, cron = $4, time_zone = $5, every_seconds = $6, start_at = $7, at = $8, catch_up = $9, task = $10,
    updated_at = $11, paused_at = $12, next_at = $13,
    retry_at = NULL, error_code = NULL, error_message = NULL, error_at = NULL, revision = revision + 1
WHERE id = $1 AND revision = $2
  AND NOT EXISTS (SELECT FROM schedules o WHERE o.tenant = s.tenant AND o.name = $3 AND o.id <> s.id)
RETURNING *;

-- name: delete_schedule
-- Deletes a schedule of a tenant; its tasks stay.
DELETE FROM schedules WHERE tenant = $1 AND id = $2 RETURNING id;

-- name: due_schedules
-- Schedules with a due time that has come by $1, the most overdue first; none that waits to be tried again.
SELECT * FROM schedules
WHERE next_at <= $1 AND (retry_at IS NULL OR retry_at <= $1)
ORDER BY next_at LIMIT $2;

-- name: advance_schedule
-- Notes what was decided about the due times before $3, if the schedule is at the revision $2.
UPDATE schedules SET
    next_at       = $3,
    last_due_at   = coalesce($4, last_due_at),
    last_task_id  = coalesce($5, last_task_id),
    skipped_from  = coalesce($6, skipped_from),
    skipped_until = coalesce($7, skipped_until),
    retry_at      = $8,
    error_code    = $9,
    error_message = $10,
    error_at      = $11,
    revision      = revision + 1
WHERE id = $1 AND revision = $2
RETURNING id;
