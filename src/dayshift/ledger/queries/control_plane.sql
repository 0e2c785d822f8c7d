-- name: register_agents
-- Records agents at their code version as the newest; counts the registry up only if that changes what readers see.
WITH wish AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[])
        AS w (name, version, queue, input_schema, output_schema, options)
),
before AS MATERIALIZED (
    SELECT DISTINCT ON (a.name) a.* FROM agents a JOIN (SELECT DISTINCT name FROM wish) w ON w.name = a.name
    ORDER BY a.name, a.registered_at DESC, a.version DESC
),
written AS (
    INSERT INTO agents AS a (name, version, queue, input_schema, output_schema, options)
    SELECT name, version, queue, input_schema, output_schema, options FROM wish ORDER BY name, version
    ON CONFLICT (name, version) DO UPDATE SET queue = excluded.queue, input_schema = excluded.input_schema,
        output_schema = excluded.output_schema, options = excluded.options, registered_at = clock_timestamp()
)
UPDATE versions SET registry = registry + 1
WHERE EXISTS (
    SELECT FROM wish w LEFT JOIN before b ON b.name = w.name
    WHERE (b.version, b.queue, b.input_schema, b.output_schema, b.options)
        IS DISTINCT FROM (w.version, w.queue, w.input_schema, w.output_schema, w.options));

-- name: all_agents
-- Every agent at its newest version, with the names of all its versions, newest first.
SELECT DISTINCT ON (a.name) a.name, a.version, a.queue, a.input_schema, a.output_schema, a.options, a.registered_at,
    array_agg(a.version) OVER (PARTITION BY a.name ORDER BY a.registered_at DESC, a.version DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS versions
FROM agents a ORDER BY a.name, a.registered_at DESC, a.version DESC;

-- name: create_key
-- Records a key by its hash, and tells every process.
WITH counted AS (UPDATE versions SET keys = keys + 1)
INSERT INTO api_keys (id, hash, prefix, tenant, scopes, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, prefix, tenant, scopes, created_at, last_used_at, expires_at, revoked_at;

-- name: list_keys
-- Keys of one tenant ($1) or of all below an id, newest first, also revoked ones.
SELECT id, prefix, tenant, scopes, created_at, last_used_at, expires_at, revoked_at FROM api_keys
WHERE ($1::text IS NULL OR tenant = $1) AND id < $2 ORDER BY id DESC LIMIT $3;

-- name: active_keys
-- The keys that open a door now.
SELECT id, hash, tenant, scopes, expires_at FROM api_keys
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- name: revoke_key
-- Revokes a key, of one tenant ($2) or of any, and tells every process; a second time changes nothing.
WITH found AS MATERIALIZED (
    SELECT id, revoked_at FROM api_keys WHERE id = $1 AND ($2::text IS NULL OR tenant = $2) FOR NO KEY UPDATE
),
counted AS (
    UPDATE versions SET keys = keys + 1 WHERE EXISTS (SELECT FROM found WHERE revoked_at IS NULL)
)
UPDATE api_keys k SET revoked_at = coalesce(f.revoked_at, clock_timestamp()) FROM found f WHERE k.id = f.id
RETURNING k.id, k.prefix, k.tenant, k.scopes, k.created_at, k.last_used_at, k.expires_at, k.revoked_at;

-- name: touch_keys
-- Notes that keys were used, to the minute.
WITH used AS MATERIALIZED (
    SELECT k.id FROM unnest($1::uuid[]) AS w (id) JOIN api_keys k ON k.id = w.id
    WHERE k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute'
    ORDER BY k.id FOR NO KEY UPDATE OF k SKIP LOCKED
)
UPDATE api_keys k SET last_used_at = now() FROM used u WHERE k.id = u.id;

-- name: current_settings
-- For every path that is set at a version ($1, or NULL for the newest), the change that set it.
SELECT DISTINCT ON (s.path) s.version, s.path, s.value, s.by_whom, s.why, s.at,
    (SELECT settings FROM versions) AS newest
FROM settings_versions s
WHERE s.version <= coalesce($1::bigint, (SELECT settings FROM versions))
ORDER BY s.path, s.version DESC;

-- name: write_settings
-- Appends one version with the given changes, if the newest is still $5 (or $5 is NULL); no row when it is not.
WITH counted AS (
    UPDATE versions SET settings = settings + 1 WHERE $5::bigint IS NULL OR settings = $5 RETURNING settings
)
INSERT INTO settings_versions (version, path, value, by_whom, why)
SELECT c.settings, w.path, w.value, $3, $4
FROM counted c CROSS JOIN unnest($1::text[], $2::bytea[]) AS w (path, value)
RETURNING version, path, value, by_whom, why, at;

-- name: settings_history
-- Changes below a version ($2), of one path ($1) or of all, newest first.
SELECT version, path, value, by_whom, why, at FROM settings_versions
WHERE ($1::text IS NULL OR path = $1) AND version < $2 ORDER BY version DESC, path LIMIT $3;

-- name: last_settings_change_around
-- The newest change of one of the paths $1, or of any path that begins with $2.
SELECT version, path, value, by_whom, why, at FROM settings_versions
WHERE path = ANY($1::text[]) OR starts_with(path, $2) ORDER BY version DESC, path LIMIT 1;

-- name: get_plane_state
-- The epoch and the run id of the hot plane.
SELECT epoch, run_id FROM plane_state;

-- name: raise_epoch
-- Goes to the next epoch, if it is still the expected one.
UPDATE plane_state SET epoch = epoch + 1, run_id = $2, changed_at = clock_timestamp() WHERE epoch = $1 RETURNING epoch;

-- name: clock
-- PostgreSQL's time.
SELECT clock_timestamp() AS now;
