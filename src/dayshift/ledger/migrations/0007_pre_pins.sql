-- Tasks that only one version of the code may go on with.
--
-- What workers claim a task by is its agent's name, or, once a pinned one has started, AGENT@VERSION. That is what lanes are
-- made of, so their index and the view that the hot plane is filled from go by it. The index before this one would be
-- written at each accept and serve no statement of this code; nothing that needs it has been released.

ALTER TABLE tasks ADD COLUMN claimed_as text;               -- AGENT@VERSION; NULL: by its agent

DROP INDEX tasks_lanes;
CREATE INDEX tasks_lanes ON tasks (coalesce(claimed_as, agent), priority, tenant, seq) WHERE status = 'queued';
CREATE INDEX tasks_pinned ON tasks (claimed_as) WHERE claimed_as IS NOT NULL AND status IN ('queued', 'running', 'waiting');

CREATE OR REPLACE VIEW places AS
SELECT t.id, t.agent, t.priority, t.tenant, t.seq, t.run_at, t.created_at, t.conversation,
    coalesce(t.claimed_as, t.agent) AS claimed_as
FROM tasks t
LEFT JOIN conversations c ON c.tenant = t.tenant AND c.name = t.conversation
WHERE t.status = 'queued'
  AND (t.conversation IS NULL
       OR c.holder = t.id
       OR (c.holder IS NULL AND NOT EXISTS (
               SELECT FROM tasks e
               WHERE e.tenant = t.tenant AND e.conversation = t.conversation AND e.seq < t.seq
                 AND e.status IN ('queued', 'running', 'waiting'))));
