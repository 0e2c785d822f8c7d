-- Tasks, conversations and idempotency keys: what a 202 promises.
--
-- tasks is partitioned by id. Ids are UUIDv7, so a range of ids is a range of acceptance times, one partition is one
-- week, and an old week that retention has emptied is dropped whole. The DEFAULT partition is a net: it should stay empty.
--
-- Every start and finish changes `status`, which the partial indexes below look at, so these two updates are never HOT
-- and write one entry into each index whose condition the row meets. That is why there are few indexes over all rows
-- (PK, tenant lists), why the others are partial, and why payloads sit out of line from 1 kB on: an update of the row
-- then copies a pointer and not the input.

CREATE SEQUENCE task_seq CACHE 1;

CREATE TABLE tasks (
    id                  uuid        NOT NULL PRIMARY KEY,
    seq                 bigint      NOT NULL DEFAULT nextval('task_seq'), -- the order of acceptance
    created_at          timestamptz NOT NULL DEFAULT now(),
    run_at              timestamptz NOT NULL,            -- in whole milliseconds, as the hot plane counts
    started_at          timestamptz,                     -- the first start
    finished_at         timestamptz,
    expires_at          timestamptz,
    cancel_requested_at timestamptz,
    worker_id           uuid,                            -- who runs it now
    start_id            uuid,                            -- the wish that was granted last
    finish_id           uuid,                            -- the outcome that was recorded last
    timeout_seconds     double precision,
    attempt             integer     NOT NULL DEFAULT 0,
    failures            integer     NOT NULL DEFAULT 0,
    losses              integer     NOT NULL DEFAULT 0,
    poison_losses       integer     NOT NULL DEFAULT 0,  -- losses in a row without a sign of life in between
    priority            smallint    NOT NULL,
    quarantined         boolean     NOT NULL DEFAULT false, -- the last start runs alone in a process of its own
    error_retryable     boolean,
    status              text        NOT NULL DEFAULT 'queued',
    tenant              text        NOT NULL,
    agent               text        NOT NULL,
    queue               text        NOT NULL,
    user_name           text,
    conversation        text,
    trace_id            text,
    version             text,                            -- the code version of the last start
    idempotency_key     text,
    webhook_url         text,
    error_code          text,
    error_message       text,
    usage               bytea,                           -- JSON, like all payloads: stored as it came, never parsed here
    timing              bytea,
    waiting_for         bytea,
    notice              bytea,
    metadata            bytea       NOT NULL,
    input               bytea       NOT NULL,
    output              bytea,

    CONSTRAINT status_is_known CHECK (status IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT priority_is_0_to_9 CHECK (priority BETWEEN 0 AND 9),
    CONSTRAINT finished_exactly_in_final_states
        CHECK ((finished_at IS NOT NULL) = (status IN ('succeeded', 'failed', 'cancelled'))),
    CONSTRAINT held_exactly_while_running CHECK ((worker_id IS NOT NULL) = (status = 'running')),
    CONSTRAINT running_was_started CHECK (status <> 'running' OR (attempt > 0 AND started_at IS NOT NULL AND start_id IS NOT NULL)),
    CONSTRAINT waits_for_something_exactly_while_waiting CHECK ((waiting_for IS NOT NULL) = (status = 'waiting')),
    CONSTRAINT output_exactly_when_succeeded CHECK ((output IS NOT NULL) = (status = 'succeeded')),
    CONSTRAINT failed_says_why CHECK (status <> 'failed' OR error_code IS NOT NULL),
    CONSTRAINT succeeded_has_no_error CHECK (status <> 'succeeded' OR error_code IS NULL),
    CONSTRAINT error_is_whole CHECK (
        (error_code IS NULL) = (error_message IS NULL) AND (error_code IS NULL) = (error_retryable IS NULL)),
    CONSTRAINT queued_is_not_to_be_cancelled CHECK (status <> 'queued' OR cancel_requested_at IS NULL),
    CONSTRAINT counts_fit CHECK (
        failures >= 0 AND poison_losses >= 0 AND losses >= poison_losses AND attempt >= failures + losses)
) PARTITION BY RANGE (id);

-- Queues. Each index holds only the rows that wait, so it stays as small as the backlog.
CREATE INDEX tasks_lanes ON tasks (agent, priority, tenant, seq) WHERE status = 'queued';
CREATE INDEX tasks_due ON tasks (run_at, seq) WHERE status = 'queued';
CREATE INDEX tasks_running ON tasks (worker_id) WHERE status = 'running';
CREATE INDEX tasks_to_cancel ON tasks (worker_id) WHERE status = 'running' AND cancel_requested_at IS NOT NULL;
CREATE INDEX tasks_waiting ON tasks (tenant, queue) WHERE status = 'waiting';
CREATE INDEX tasks_expiring ON tasks (expires_at) WHERE status = 'queued' AND expires_at IS NOT NULL;
CREATE INDEX tasks_conversation_line ON tasks (tenant, conversation, seq)
    WHERE conversation IS NOT NULL AND status IN ('queued', 'running', 'waiting');

-- Lists, newest first. A list of all states merges the six ranges of an index; without the state in it, a list of a rare
-- one would read an agent's whole past.
CREATE INDEX tasks_of_tenant ON tasks (tenant, status, id);
CREATE INDEX tasks_of_agent ON tasks (tenant, agent, status, id);
CREATE INDEX tasks_of_user ON tasks (tenant, user_name, status, id) WHERE user_name IS NOT NULL;
CREATE INDEX tasks_of_conversation ON tasks (tenant, conversation, status, id) WHERE conversation IS NOT NULL;

-- Retention. Dead letters are kept until a person drops them.
CREATE INDEX tasks_ended ON tasks (finished_at) WHERE status IN ('succeeded', 'cancelled');

-- One row a conversation that has ever been used: the lock that every accept, start and end of its tasks meets at.
CREATE TABLE conversations (
    tenant     text        NOT NULL,
    name       text        NOT NULL,
    holder     uuid,                                     -- from its first start to its end, also while it retries
    unfinished integer     NOT NULL,
    touched_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, name),
    CONSTRAINT unfinished_is_a_count CHECK (unfinished >= 0),
    CONSTRAINT a_holder_is_unfinished CHECK (holder IS NULL OR unfinished > 0)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE idempotency_keys (
    tenant     text        NOT NULL,
    key        text        NOT NULL,
    task_id    uuid        NOT NULL,
    body_hash  bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- The lowest UUIDv7 of a moment.
CREATE FUNCTION uuid7_floor(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT rpad(lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

-- Makes the weekly partitions of a table, from last week to some weeks ahead, that are missing; returns how many it made.
-- The table is partitioned by the id of a task, and its column for it comes first.
--
-- A partition is built beside the table and then attached, which lets reads and writes of the other partitions go on
-- (CREATE TABLE ... PARTITION OF would lock the whole table). A week whose rows already fell into the DEFAULT partition
-- cannot be attached any more and stays there: nothing is lost by it but the cheap drop.
CREATE FUNCTION make_week_partitions(parent text, weeks_ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    monday    timestamptz := date_trunc('week', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    id_column text := (SELECT attname FROM pg_attribute WHERE attrelid = parent::regclass AND attnum = 1);
    lowest    uuid;
    beyond    uuid;
    partition text;
    is_taken  boolean;
    made      integer := 0;
BEGIN
    FOR week IN -1 .. weeks_ahead LOOP
        lowest := uuid7_floor(monday + week * interval '168 hours');
        beyond := uuid7_floor(monday + (week + 1) * interval '168 hours');
        partition := parent || to_char((monday + week * interval '168 hours') AT TIME ZONE 'UTC', '_YYYYMMDD');
        CONTINUE WHEN to_regclass(partition) IS NOT NULL;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I >= %L AND %I < %L)',
            parent || '_default', id_column, lowest, id_column, beyond) INTO is_taken;
        CONTINUE WHEN is_taken;
        EXECUTE format(
            'CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)'
            ' WITH (fillfactor = 85, toast_tuple_target = 1024, autovacuum_vacuum_scale_factor = 0.02,'
            ' autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1,'
            ' autovacuum_vacuum_cost_delay = 1)', partition, parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, partition, lowest, beyond);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Drops the partitions of a table whose weeks ended before a moment and that hold no row any more; returns how many.
--
-- A drop locks the whole table, and whatever comes while it waits for that lock waits behind it. So it waits a moment only,
-- and leaves what it could not lock to the next time. The table is locked before its partition, as all others do.
CREATE FUNCTION drop_empty_week_partitions(parent text, before timestamptz) RETURNS integer LANGUAGE plpgsql
SET lock_timeout = '200ms' AS $$
DECLARE
    partition text;
    is_used   boolean;
    dropped   integer := 0;
BEGIN
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = parent::regclass AND c.relname ~ '_[0-9]{8}$'
          AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 8)::timestamptz < before
        ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', partition) INTO is_used;
        CONTINUE WHEN is_used;
        EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', parent);
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', partition);
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', partition) INTO is_used;
        CONTINUE WHEN is_used;
        EXECUTE format('DROP TABLE %I', partition);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END $$;

CREATE TABLE tasks_default PARTITION OF tasks DEFAULT;
SELECT make_week_partitions('tasks', 4);

-- The queued tasks that the hot plane may know: all but those that stand behind another in their conversation.
CREATE VIEW places AS
SELECT t.id, t.agent, t.priority, t.tenant, t.seq, t.run_at, t.created_at, t.conversation
FROM tasks t
LEFT JOIN conversations c ON c.tenant = t.tenant AND c.name = t.conversation
WHERE t.status = 'queued'
  AND (t.conversation IS NULL
       OR c.holder = t.id
       OR (c.holder IS NULL AND NOT EXISTS (
               SELECT FROM tasks e
               WHERE e.tenant = t.tenant AND e.conversation = t.conversation AND e.seq < t.seq
                 AND e.status IN ('queued', 'running', 'waiting'))));

-- What doors show of a task. Its columns are listed, so that a column added later changes no result that code relies on.
CREATE VIEW shown_tasks AS
SELECT id, agent, status, input, output, error_code, error_message, error_retryable, attempt, failures, losses, priority,
    tenant, user_name, conversation, queue, created_at, run_at, started_at, finished_at, waiting_for, notice, usage, timing,
    metadata, trace_id, version
FROM tasks;
