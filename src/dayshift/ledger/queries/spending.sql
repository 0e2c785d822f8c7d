-- name: spent
-- What was spent for each kind, tenant and name since its hour.
SELECT w.n, coalesce(sum(s.nano_usd), 0)::bigint AS nano_usd, coalesce(sum(s.tokens), 0)::bigint AS tokens,
    coalesce(sum(s.calls), 0)::bigint AS calls, coalesce(sum(s.unpriced), 0)::bigint AS unpriced
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) WITH ORDINALITY AS w (kind, tenant, name, since, n)
LEFT JOIN spending s ON s.kind = w.kind AND s.tenant = w.tenant AND s.name = w.name AND s.hour >= w.since
GROUP BY w.n;

-- name: drop_old_spending
-- Deletes up to $2 sums of hours more than $1 seconds ago, but those of tasks and conversations that are still there.
WITH old AS MATERIALIZED (
    SELECT s.kind, s.tenant, s.name, s.hour, s.shard FROM spending s
    WHERE s.hour < now() - $1::float8 * interval '1 second'
      AND CASE s.kind
          WHEN 'task' THEN (SELECT true FROM tasks t WHERE t.id = s.name::uuid)
          WHEN 'conversation' THEN (SELECT true FROM conversations c WHERE c.tenant = s.tenant AND c.name = s.name)
      END IS NULL
    ORDER BY s.hour LIMIT $2
    FOR UPDATE SKIP LOCKED
)
DELETE FROM spending s USING old o
WHERE (s.kind, s.tenant, s.name, s.hour, s.shard) = (o.kind, o.tenant, o.name, o.hour, o.shard)
RETURNING s.kind;

-- name: ancestors_of
-- The tasks that stand above a task, the nearest first, with their agents.
WITH RECURSIVE chain AS (
    SELECT t.parent_id AS id, 1 AS n FROM tasks t WHERE t.id = $1
    UNION ALL
    SELECT t.parent_id, c.n + 1 FROM chain c JOIN tasks t ON t.id = c.id
    WHERE c.n < 100
)
SELECT t.id, t.agent FROM chain c JOIN tasks t ON t.id = c.id ORDER BY c.n;
