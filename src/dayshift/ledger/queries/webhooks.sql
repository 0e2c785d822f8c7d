-- name: create_webhook_endpoint
-- Makes an endpoint, unless its tenant has $7 already.
INSERT INTO webhook_endpoints (id, tenant, name, url, event_types, secret)
SELECT $1, $2, $3, $4, $5, $6
WHERE (SELECT count(*) FROM webhook_endpoints WHERE tenant = $2 AND url IS NOT NULL AND id <> $1) < $7::int
ON CONFLICT (id) DO UPDATE SET id = excluded.id
RETURNING *;

-- name: list_webhook_endpoints
-- A tenant's endpoints below an id, newest first.
SELECT * FROM webhook_endpoints WHERE tenant = $1 AND id < $2 AND url IS NOT NULL ORDER BY id DESC LIMIT $3;

-- name: get_webhook_endpoint
-- An endpoint of a tenant; without an id, what signs for the addresses of its tasks.
SELECT * FROM webhook_endpoints
WHERE tenant = $1 AND CASE WHEN $2::uuid IS NULL THEN url IS NULL ELSE id = $2 AND url IS NOT NULL END;

-- name: update_webhook_endpoint
-- Changes what is given (not NULL) of an endpoint; $6 switches it on or off. What is as it was stays as old as it was.
UPDATE webhook_endpoints e SET
    name         = coalesce($3, name),
    url          = coalesce($4, url),
    event_types  = coalesce($5, event_types),
    disabled_at  = CASE $6::boolean WHEN true THEN NULL WHEN false THEN coalesce(disabled_at, statement_timestamp()) ELSE disabled_at END,
    disabled_why = CASE $6::boolean WHEN true THEN NULL WHEN false THEN coalesce(disabled_why, 'switched off') ELSE disabled_why END,
    updated_at   = CASE WHEN (coalesce($3, name), coalesce($4, url), coalesce($5, event_types), coalesce($6, disabled_at IS NULL))
            IS DISTINCT FROM (name, url, event_types, disabled_at IS NULL)
        THEN statement_timestamp() ELSE updated_at END
WHERE tenant = $1 AND id = $2 AND url IS NOT NULL
RETURNING *;

-- name: disable_webhook_endpoint
-- Its receiver said that it is gone: nothing is made for it any more.
UPDATE webhook_endpoints SET disabled_at = statement_timestamp(), disabled_why = $2, updated_at = statement_timestamp()
WHERE id = $1 AND disabled_at IS NULL AND url = $3;

-- name: delete_webhook_endpoint
-- Deletes an endpoint of a tenant.
DELETE FROM webhook_endpoints WHERE tenant = $1 AND id = $2 AND url IS NOT NULL RETURNING id;

-- name: rotate_webhook_secret
-- Gives an endpoint the secret $3; the one before signs as well for $4 seconds more. A repeat changes nothing.
UPDATE webhook_endpoints SET
    old_secret       = CASE WHEN $4::float8 > 0 THEN secret END,
    old_secret_until = CASE WHEN $4::float8 > 0 THEN statement_timestamp() + $4 * interval '1 second' END,
    secret           = $3,
    updated_at       = statement_timestamp()
WHERE tenant = $1 AND id = $2 AND secret <> $3
RETURNING *;

-- name: default_webhook_secret
-- What signs for the addresses of a tenant's tasks; made with $2 and $3 if there is none.
INSERT INTO webhook_endpoints (id, tenant, name, event_types, secret) VALUES ($2, $1, 'default', '{}', $3)
ON CONFLICT (tenant) WHERE url IS NULL DO UPDATE SET tenant = excluded.tenant
RETURNING *;

-- name: delivery_of
-- A delivery's own figures, and the row and addresses of what it tells of, if that is there.
SELECT d.failures AS delivery_failures, extract(epoch FROM statement_timestamp() - d.created_at)::float8 AS age_seconds,
    t.webhook_url, t.a2a -> 'push' -> (convert_from(d.input, 'UTF8')::json #>> '{delivery,push}') AS push, s.*
FROM tasks d
LEFT JOIN tasks t ON t.id = d.about
LEFT JOIN shown_tasks s ON s.id = d.about
WHERE d.id = $1;

-- name: test_delivery
-- Makes a delivery that tells of itself to an endpoint of the tenant.
INSERT INTO tasks (id, tenant, agent, queue, input, priority, run_at, metadata, trace_id, about)
VALUES ($1, $2, 'dayshift.webhook', 'system', $3, 9, date_trunc('milliseconds', statement_timestamp()), '{}', $4, $1)
ON CONFLICT (id) DO NOTHING
RETURNING id, agent AS claimed_as, priority, tenant, seq, run_at, true AS due;
