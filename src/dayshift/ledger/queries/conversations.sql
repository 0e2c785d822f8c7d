-- name: create_conversation
-- Makes a conversation with the first messages of its history; no row when there is one of that name.
WITH made AS (
    INSERT INTO conversations (tenant, name, unfinished) VALUES ($1, $2, 0)
    ON CONFLICT (tenant, name) DO NOTHING
    RETURNING tenant, name, created_at, touched_at, unfinished, holder
),
said AS (
    INSERT INTO conversation_messages (tenant, conversation, id, body)
    SELECT m.tenant, m.name, w.id, w.body
    FROM made m CROSS JOIN unnest($3::uuid[], $4::bytea[]) WITH ORDINALITY AS w (id, body, n)
    ORDER BY w.n
)
SELECT name, created_at, touched_at, unfinished, holder FROM made;

-- name: get_conversation
-- One conversation of a tenant.
SELECT name, created_at, touched_at, unfinished, holder FROM conversations WHERE tenant = $1 AND name = $2;

-- name: list_conversations
-- A tenant's conversations, newest first.
SELECT name, created_at, touched_at, unfinished, holder FROM conversations
WHERE tenant = $1 ORDER BY created_at DESC, name DESC LIMIT $2;

-- name: list_conversations_after
-- A tenant's conversations behind one of them ($3), newest first.
SELECT c.name, c.created_at, c.touched_at, c.unfinished, c.holder
FROM conversations l JOIN conversations c ON c.tenant = l.tenant AND (c.created_at, c.name) < (l.created_at, l.name)
WHERE l.tenant = $1 AND l.name = $3
ORDER BY c.created_at DESC, c.name DESC LIMIT $2;

-- name: seq_of_message
-- Where a message stands in the history of its conversation.
SELECT seq FROM conversation_messages WHERE id = $3 AND tenant = $1 AND conversation = $2;

-- name: messages_before
-- The last $4 messages of a history before a seq, the latest first.
SELECT seq, id, task_id, created_at, body FROM conversation_messages
WHERE tenant = $1 AND conversation = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4;

-- name: messages_after
-- The first $4 messages of a history behind a seq, in order.
SELECT seq, id, task_id, created_at, body FROM conversation_messages
WHERE tenant = $1 AND conversation = $2 AND seq > $3 ORDER BY seq LIMIT $4;

-- name: lock_conversation
-- How many tasks of a conversation are unfinished; nobody can add one until this transaction ends.
SELECT unfinished FROM conversations WHERE tenant = $1 AND name = $2 FOR UPDATE;

-- name: erase_conversation
-- Deletes a conversation and its history. Only by who has locked it, in a statement before this one.
WITH forgotten AS (
    DELETE FROM conversation_messages WHERE tenant = $1 AND conversation = $2
)
DELETE FROM conversations WHERE tenant = $1 AND name = $2;

-- name: forget_idle_conversations
-- Looks at $5 conversations behind ($3, $4). Deletes those that have nothing unfinished and were not touched for $1 seconds, or
-- for $2 if they have a history (NULL: it is kept). Says how many those were, and which was the last that it looked at.
WITH page AS MATERIALIZED (
    SELECT tenant, name, unfinished = 0 AND touched_at < now() - least($1::float8, $2::float8) * interval '1 second' AS may_go
    FROM conversations WHERE (tenant, name) > ($3, $4) ORDER BY tenant, name LIMIT $5
),
idle AS MATERIALIZED (
    SELECT c.tenant, c.name FROM page p JOIN conversations c ON c.tenant = p.tenant AND c.name = p.name
    WHERE p.may_go AND c.unfinished = 0 AND c.touched_at < now() - CASE
        WHEN EXISTS (SELECT FROM conversation_messages m WHERE m.tenant = p.tenant AND m.conversation = p.name) THEN $2::float8
        ELSE $1::float8 END * interval '1 second'
    FOR UPDATE OF c SKIP LOCKED
),
erased AS (
    DELETE FROM conversation_messages m USING idle i WHERE m.tenant = i.tenant AND m.conversation = i.name
),
forgotten AS (
    DELETE FROM conversations c USING idle i WHERE c.tenant = i.tenant AND c.name = i.name RETURNING c.name
)
SELECT tenant, name, (SELECT count(*) FROM forgotten) AS forgotten, (SELECT count(*) FROM page) AS looked_at
FROM page ORDER BY tenant DESC, name DESC LIMIT 1;
