-- name: list_tasks_in_contexts
-- A tenant's tasks of an agent ($2) that have a conversation (that one, if $3 is given), the latest change first, below a moment and an id.
SELECT t.*, became_at(t.status, t.created_at, t.run_at, t.started_at, t.finished_at) AS became_at FROM shown_tasks t
WHERE t.tenant = $1 AND t.agent = $2 AND t.conversation IS NOT NULL AND ($3::text IS NULL OR t.conversation = $3)
    AND (became_at(t.status, t.created_at, t.run_at, t.started_at, t.finished_at), t.id) < ($4::timestamptz, $5::uuid)
    AND became_at(t.status, t.created_at, t.run_at, t.started_at, t.finished_at) >= $6::timestamptz
    AND ($7::text IS NULL OR $7 = a2a_state(t.status, t.attempt, t.waiting_for, t.error_code))
ORDER BY became_at(t.status, t.created_at, t.run_at, t.started_at, t.finished_at) DESC, t.id DESC
LIMIT $8;

-- name: count_tasks_in_contexts
-- How many of them there are in all; counting ends at $6.
SELECT count(*) AS count FROM (
    SELECT FROM tasks t
    WHERE t.tenant = $1 AND t.agent = $2 AND t.conversation IS NOT NULL AND ($3::text IS NULL OR t.conversation = $3)
        AND became_at(t.status, t.created_at, t.run_at, t.started_at, t.finished_at) >= $4::timestamptz
        AND ($5::text IS NULL OR $5 = a2a_state(t.status, t.attempt, t.waiting_for, t.error_code))
    LIMIT $6) t;

-- name: a2a_of_tasks
-- What A2A keeps of each of the tasks that are the tenant's, of whichever door.
SELECT id, (a2a -> 'messages')::text AS messages, (a2a -> 'push')::text AS push FROM tasks WHERE id = ANY ($1::uuid[]) AND tenant = $2;

-- name: add_a2a_message
-- Adds a message to a task's history, unless its last one is the same.
UPDATE tasks SET a2a = jsonb_set(coalesce(a2a, '{}'), '{messages}', coalesce(a2a -> 'messages', '[]') || $3::text::jsonb)
WHERE id = $1 AND tenant = $2 AND a2a -> 'messages' -> -1 IS DISTINCT FROM $3::text::jsonb;

-- name: set_a2a_push
-- Has a task's changes told to an address ($3: its name, $4), unless $5 others are told already.
UPDATE tasks SET a2a = jsonb_set(coalesce(a2a, '{}'), '{push}', coalesce(a2a -> 'push', '{}') || jsonb_build_object($3::text, $4::text::jsonb))
WHERE id = $1 AND tenant = $2
    AND (SELECT count(*) FROM jsonb_object_keys(coalesce(a2a -> 'push', '{}')) AS k (name) WHERE k.name <> $3) < $5::int
RETURNING id;

-- name: drop_a2a_push
-- Has a task's changes not told to that address any more.
UPDATE tasks SET a2a = a2a #- ARRAY['push', $3::text] WHERE id = $1 AND tenant = $2 AND a2a -> 'push' ? $3;
