-- What was said in conversations.
--
-- A message outlives the task that appended it, so it does not lie with the task's effects; its effect is what keeps it from
-- being appended twice, and its row is written by the very statement that records the effect (record_effects). `seq` is
-- the order: a conversation has one task at a time, and that appends one message after the other.

ALTER TABLE conversations ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX conversations_of_tenant ON conversations (tenant, created_at, name);

CREATE SEQUENCE message_seq CACHE 1;

CREATE TABLE conversation_messages (
    tenant       text        NOT NULL,
    conversation text        NOT NULL,
    seq          bigint      NOT NULL DEFAULT nextval('message_seq'),
    id           uuid        NOT NULL UNIQUE,             -- of the effect that appended it
    task_id      uuid,                                    -- NULL: the conversation was made with it
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    body         bytea       NOT NULL,                    -- packed as a result of the journal, so not to be compressed again
    PRIMARY KEY (tenant, conversation, seq)
);
ALTER TABLE conversation_messages ALTER COLUMN body SET STORAGE EXTERNAL;
