"""The ledger's diary: a trigger that notes each change of a task's state, and each outcome, in the transaction that makes it.

Only the verifier installs it. A row shows how a task ended; its diary shows every start, loss, failure and end on the way,
and so whether each number in the row is explained.
"""

from typing import Any

import asyncpg

from tests.verifier.record import Entry, seconds_of

INSTALL = """
CREATE TABLE diary (
    number      bigserial   PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    task        uuid        NOT NULL,
    old_status  text,
    status      text        NOT NULL,
    attempt     integer     NOT NULL,
    failures    integer     NOT NULL,
    losses      integer     NOT NULL,
    seq         bigint      NOT NULL,
    old_pid     integer,
    pid         integer,
    quarantined boolean     NOT NULL
);
CREATE FUNCTION note_in_diary() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_status text;
    old_worker uuid;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (OLD.status, OLD.attempt, OLD.finish_id) IS NOT DISTINCT FROM (NEW.status, NEW.attempt, NEW.finish_id) THEN
            RETURN NULL;
        END IF;
        old_status := OLD.status;
        old_worker := OLD.worker_id;
    END IF;
    INSERT INTO diary (task, old_status, status, attempt, failures, losses, seq, old_pid, pid, quarantined)
    VALUES (NEW.id, old_status, NEW.status, NEW.attempt, NEW.failures, NEW.losses, NEW.seq,
        (SELECT w.pid FROM workers w WHERE w.id = old_worker), (SELECT w.pid FROM workers w WHERE w.id = NEW.worker_id),
        NEW.quarantined);
    RETURN NULL;
END $$;
CREATE TRIGGER diary AFTER INSERT OR UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION note_in_diary();
"""
READ = """
SELECT number, at, task, old_status, status, attempt, failures, losses, seq, old_pid, pid, quarantined
FROM diary ORDER BY number
"""


async def install(connection: asyncpg.Connection) -> None:
    await connection.execute(INSTALL)


async def read(connection: asyncpg.Connection) -> list[Entry]:
    return [_entry(dict(row)) for row in await connection.fetch(READ)]


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(task_id=f"task_{row.pop('task')}", at=seconds_of(row.pop("at")), **row)
