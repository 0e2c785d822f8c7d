-- A2A: what its clients said, and whom they want told, kept with the task that it is about.
--
-- `a2a` is {"messages": [...], "push": {ID: {"url", "token", "scheme", "credentials"}}}, as gateway/a2a has it; NULL for a task
-- that came by another door. It is part of the task's row so that it is there with the task, goes with it, and is seen as it is
-- by the statement that ends the task and makes a delivery for each address (queries/parts/deliveries.sql).
ALTER TABLE tasks ADD COLUMN a2a jsonb;

-- When a task became what it is, as its row knows: a task that waits has its `run_at` of that moment.
CREATE FUNCTION became_at(status text, created_at timestamptz, run_at timestamptz, started_at timestamptz, finished_at timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(finished_at, CASE WHEN status = 'waiting' THEN run_at END, started_at, created_at)
$$;

-- The state that A2A knows a task by. `rejected` is what an agent says by an error of that code.
CREATE FUNCTION a2a_state(status text, attempt integer, waiting_for bytea, error_code text)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE status
        WHEN 'queued' THEN CASE WHEN attempt = 0 THEN 'SUBMITTED' ELSE 'WORKING' END
        WHEN 'waiting' THEN CASE WHEN convert_from(waiting_for, 'UTF8')::json ->> 'type' = 'signal' THEN 'INPUT_REQUIRED' ELSE 'WORKING' END
        WHEN 'succeeded' THEN 'COMPLETED'
        WHEN 'failed' THEN CASE WHEN error_code = 'rejected' THEN 'REJECTED' ELSE 'FAILED' END
        WHEN 'cancelled' THEN 'CANCELED'
        ELSE 'WORKING' END
$$;

-- The tasks of a context, the latest change first. Tasks without a conversation are in none, and cost no entry.
CREATE INDEX tasks_in_contexts ON tasks (tenant, agent, became_at(status, created_at, run_at, started_at, finished_at), id)
    WHERE conversation IS NOT NULL;

-- The input of a delivery to an address that an A2A client named ($2).
CREATE FUNCTION delivery_input(
    endpoint uuid, push text, status text, attempt integer, failures integer, losses integer, run_at timestamptz,
    started_at timestamptz, finished_at timestamptz, version text, error_code text, error_message text,
    error_retryable boolean, waiting_for bytea, notice bytea, usage bytea, timing bytea
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN push IS NULL THEN told ELSE convert_to(jsonb_set(convert_from(told, 'UTF8')::jsonb, '{delivery,push}',
        to_jsonb(push))::text, 'UTF8') END
    FROM delivery_input(endpoint, status, attempt, failures, losses, run_at, started_at, finished_at, version, error_code,
        error_message, error_retryable, waiting_for, notice, usage, timing) AS told
$$;
