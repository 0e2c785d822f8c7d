-- Webhooks: who is told when a task ends or waits, and the tasks that tell them.
--
-- A delivery is a task of the agent dayshift.webhook on the queue system, made by the very statement that changes the task it
-- tells of (queries/parts/deliveries.sql). It keeps what may change about that task later; the rest, payloads among it, is
-- read from the task's row when it is sent. So a delivery holds no copy of what agents were asked and answered, and what is
-- erased is told to nobody.

ALTER TABLE tasks ADD COLUMN about uuid;                    -- of a delivery: the task that it tells of
CREATE INDEX tasks_about ON tasks (about) WHERE about IS NOT NULL;

-- An endpoint; or, without an address, the secret by which a tenant's deliveries to the addresses of single tasks are signed.
-- A secret must be known to sign with it, so it stands here as it is.
CREATE TABLE webhook_endpoints (
    id               uuid        PRIMARY KEY,
    tenant           text        NOT NULL,
    name             text        NOT NULL,
    url              text,
    event_types      text[]      NOT NULL,
    secret           text        NOT NULL,
    old_secret       text,                                  -- signs as well, until
    old_secret_until timestamptz,
    created_at       timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT statement_timestamp(),
    disabled_at      timestamptz,
    disabled_why     text,
    CONSTRAINT disabled_says_why CHECK ((disabled_at IS NULL) = (disabled_why IS NULL)),
    CONSTRAINT an_old_secret_ends CHECK ((old_secret IS NULL) = (old_secret_until IS NULL)),
    CONSTRAINT listens_at_an_address CHECK (url IS NOT NULL OR event_types = '{}')
);
CREATE INDEX webhook_endpoints_of_tenant ON webhook_endpoints (tenant, id);
CREATE UNIQUE INDEX one_default_secret ON webhook_endpoints (tenant) WHERE url IS NULL;

-- A UUIDv7 of now, as domain/ids.py makes them.
CREATE FUNCTION new_uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT (left(uuid7_floor(clock_timestamp())::text, 14) || '7' || right(gen_random_uuid()::text, 21))::uuid
$$;

-- The input of a delivery: which endpoint (NULL: the task's own address), and the task as it became.
CREATE FUNCTION delivery_input(
    endpoint uuid, status text, attempt integer, failures integer, losses integer, run_at timestamptz, started_at timestamptz,
    finished_at timestamptz, version text, error_code text, error_message text, error_retryable boolean, waiting_for bytea,
    notice bytea, usage bytea, timing bytea
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT convert_to(json_build_object('delivery', json_build_object(
        'type', 'task.' || status,
        'timestamp', statement_timestamp(),
        'endpoint', endpoint,
        'became', json_build_object(
            'status', status, 'attempt', attempt, 'failures', failures, 'losses', losses, 'run_at', run_at,
            'started_at', started_at, 'finished_at', finished_at, 'version', version,
            'error', CASE WHEN error_code IS NOT NULL THEN
                json_build_object('code', error_code, 'message', error_message, 'retryable', error_retryable) END,
            'waiting_for', convert_from(waiting_for, 'UTF8')::json, 'notice', convert_from(notice, 'UTF8')::json,
            'usage', convert_from(usage, 'UTF8')::json, 'timing', convert_from(timing, 'UTF8')::json)
    ))::text, 'UTF8')
$$;
