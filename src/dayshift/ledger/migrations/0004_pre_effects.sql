-- The journal: what agents did that must not be done twice.
--
-- effects is partitioned by the week of its task, like tasks, and a task's effects go with the task. There is no foreign
-- key: it would look at the task once more for every effect, which record_effects has just locked and read. Results come
-- compressed, so PostgreSQL is told not to try again.

CREATE TABLE effects (
    task_id     uuid        NOT NULL,
    key         bytea       NOT NULL,                    -- 16 bytes: what was done, where in the agent
    occurrence  integer     NOT NULL,                    -- which of the equal ones, in the order of their recording
    scope       text        NOT NULL DEFAULT '',         -- below which steps and tools, in which branches; part of the key
    id          uuid        NOT NULL,                    -- made by the writer: a repeat is known by it
    attempt     integer     NOT NULL,                    -- that did it
    replayed_by integer,                                 -- the latest attempt that was given the result instead
    kind        text        NOT NULL,
    name        text        NOT NULL,
    status      text        NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    digests     bytea,                                   -- of each part of the content, to name what differs later
    differs     bytea,                                   -- which older effect was not asked for instead, and the part that differs
    emits       bytea,                                   -- what was told to the live stream since the effect before it
    usage       bytea,
    result      bytea,                                   -- of a failure: the error

    PRIMARY KEY (task_id, key, occurrence),
    CONSTRAINT key_is_a_hash CHECK (octet_length(key) = 16),
    CONSTRAINT status_is_known CHECK (status IN ('started', 'done', 'failed', 'unknown')),
    CONSTRAINT finished_exactly_with_an_outcome CHECK ((finished_at IS NOT NULL) = (status IN ('done', 'failed'))),
    CONSTRAINT result_exactly_with_an_outcome CHECK ((result IS NOT NULL) = (status IN ('done', 'failed')))
) PARTITION BY RANGE (task_id);
ALTER TABLE effects ALTER COLUMN result SET STORAGE EXTERNAL;

CREATE TABLE effects_default PARTITION OF effects DEFAULT;
SELECT make_week_partitions('effects', 4);
