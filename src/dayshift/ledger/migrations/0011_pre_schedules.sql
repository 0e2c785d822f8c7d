-- Schedules: tasks that are made when their time has come.
--
-- `next_at` is the first due time that nothing was decided about; NULL while paused, and when none is left. It moves on in the very
-- transaction that makes the tasks of the due times before it, and `revision` rises with every change of a row. So of several
-- processes that come to a due time together one makes its task, and after a crash in between both or neither is there.
CREATE TABLE schedules (
    id            uuid        PRIMARY KEY,
    tenant        text        NOT NULL,
    name          text        NOT NULL,
    cron          text,
    time_zone     text,
    every_seconds bigint,
    start_at      timestamptz,                              -- of every_seconds: the first due time, from which the others are counted
    at            timestamptz,
    catch_up      text        NOT NULL,
    task          bytea       NOT NULL,                     -- JSON: what its tasks are
    revision      bigint      NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT statement_timestamp(), -- by a person
    paused_at     timestamptz,
    next_at       timestamptz,
    retry_at      timestamptz,                              -- a due time was refused, and is not tried before
    last_due_at   timestamptz,                              -- the latest due time that became a task, and the task
    last_task_id  uuid,
    error_code    text,                                     -- why the due time at next_at was refused
    error_message text,
    error_at      timestamptz,
    skipped_from  timestamptz,                              -- the due times that were skipped last
    skipped_until timestamptz,
    CONSTRAINT has_one_way_to_be_due CHECK (num_nonnulls(cron, every_seconds, at) = 1),
    CONSTRAINT catch_up_is_known CHECK (catch_up IN ('skip', 'one', 'all')),
    CONSTRAINT nothing_is_due_while_paused CHECK (paused_at IS NULL OR next_at IS NULL),
    CONSTRAINT an_error_is_whole CHECK (num_nonnulls(error_code, error_message, error_at) IN (0, 3)),
    CONSTRAINT skipped_is_whole CHECK (num_nonnulls(skipped_from, skipped_until) IN (0, 2))
);
CREATE UNIQUE INDEX schedules_by_name ON schedules (tenant, name);
CREATE INDEX schedules_of_tenant ON schedules (tenant, id);
CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL;
