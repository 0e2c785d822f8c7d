-- What a task needs to wait without a worker: for a time, for a signal, for a task of its own.

ALTER TABLE tasks
    ADD COLUMN wake_at       timestamptz,                -- when a parked task goes on by itself
    ADD COLUMN wakes         integer  NOT NULL DEFAULT 0, -- how often something came that it may wait for
    ADD COLUMN parent_id     uuid,
    ADD COLUMN depth         smallint NOT NULL DEFAULT 0, -- how many parents stand above it
    ADD COLUMN untold_parent uuid,                       -- the parent, until it was told that this task has ended
    ADD CONSTRAINT wakes_by_itself_only_while_waiting CHECK (wake_at IS NULL OR status = 'waiting');

CREATE INDEX tasks_waking ON tasks (wake_at, seq) WHERE status = 'waiting' AND wake_at IS NOT NULL;
CREATE INDEX tasks_children ON tasks (parent_id) WHERE parent_id IS NOT NULL AND status IN ('queued', 'running', 'waiting');
CREATE INDEX tasks_untold ON tasks (finished_at) WHERE untold_parent IS NOT NULL AND finished_at IS NOT NULL;

-- For waits: when they are over without an answer.
ALTER TABLE effects ADD COLUMN due_at timestamptz;

-- What was said to a task from outside. `wait_id` is the effect that it answers; without one it came before its wait.
CREATE TABLE signals (
    task_id     uuid        NOT NULL,
    name        text        NOT NULL,
    id          uuid        NOT NULL,
    wait_id     uuid,
    payload     bytea       NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, name, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE UNIQUE INDEX one_signal_a_wait ON signals (task_id, wait_id) WHERE wait_id IS NOT NULL;
CREATE UNIQUE INDEX one_signal_a_name_before_its_wait ON signals (task_id, name) WHERE wait_id IS NULL;

CREATE OR REPLACE VIEW shown_tasks AS
SELECT id, agent, status, input, output, error_code, error_message, error_retryable, attempt, failures, losses, priority,
    tenant, user_name, conversation, queue, created_at, run_at, started_at, finished_at, waiting_for, notice, usage, timing,
    metadata, trace_id, version, parent_id
FROM tasks;
