-- name: get_task
-- One task, whoever it belongs to.
SELECT * FROM shown_tasks WHERE id = $1;

-- name: get_task_of_tenant
-- One task, unless it belongs to another tenant.
SELECT * FROM shown_tasks WHERE id = $1 AND tenant = $2;

-- name: get_tasks
-- Those of the given tasks that exist.
SELECT t.* FROM unnest($1::uuid[]) AS w (id) JOIN shown_tasks t ON t.id = w.id;

-- name: finished_among
-- Those of the given tasks that have ended.
SELECT t.* FROM unnest($1::uuid[]) AS w (id) JOIN shown_tasks t ON t.id = w.id WHERE t.finished_at IS NOT NULL;

-- name: list_tasks_by_status
-- A tenant's tasks in the given states ($2) below an id, newest first; those that the house made for it only if asked for ($5).
SELECT t.* FROM unnest($2::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT * FROM shown_tasks s
    WHERE s.tenant = $1 AND s.status = wanted.status AND s.id < $3 AND ($5 OR s.queue <> 'system')
    ORDER BY s.id DESC LIMIT $4
) t
ORDER BY t.id DESC LIMIT $4;

-- name: list_tasks_of_agent
-- A tenant's tasks of one agent ($5) in the given states ($2) below an id, newest first.
SELECT t.* FROM unnest($2::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT * FROM shown_tasks s
    WHERE s.tenant = $1 AND s.agent = $5 AND s.status = wanted.status AND s.id < $3
    ORDER BY s.id DESC LIMIT $4
) t
ORDER BY t.id DESC LIMIT $4;

-- name: list_tasks_of_user
-- A tenant's tasks for one user ($5), of one agent ($6) if named, in the given states ($2) below an id, newest first.
SELECT t.* FROM unnest($2::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT * FROM shown_tasks s
    WHERE s.tenant = $1 AND s.user_name = $5 AND s.status = wanted.status AND s.id < $3
      AND ($6::text IS NULL OR s.agent = $6)
    ORDER BY s.id DESC LIMIT $4
) t
ORDER BY t.id DESC LIMIT $4;

-- name: list_tasks_of_conversation
-- A tenant's tasks in one conversation ($5), of one agent ($6) and user ($7) if named, in the given states ($2) below an id, newest first.
SELECT t.* FROM unnest($2::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT * FROM shown_tasks s
    WHERE s.tenant = $1 AND s.conversation = $5 AND s.status = wanted.status AND s.id < $3
      AND ($6::text IS NULL OR s.agent = $6) AND ($7::text IS NULL OR s.user_name = $7)
    ORDER BY s.id DESC LIMIT $4
) t
ORDER BY t.id DESC LIMIT $4;

-- name: find_idempotency_key
-- The task that a tenant's idempotency key made within its 24 hours, and the hash of what was asked for.
SELECT task_id, body_hash FROM idempotency_keys
WHERE tenant = $1 AND key = $2 AND created_at >= now() - interval '24 hours';

-- name: unfinished_before
-- The unfinished tasks of a task's ($1) conversation that were accepted before it, the last one first.
SELECT e.id FROM tasks t JOIN tasks e ON e.tenant = t.tenant AND e.conversation = t.conversation AND e.seq < t.seq
WHERE t.id = $1 AND e.status IN ('queued', 'running', 'waiting')
ORDER BY e.seq DESC;
