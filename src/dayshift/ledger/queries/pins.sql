-- name: stranded_tasks
-- Unfinished tasks that started under a code version which no live worker has, and are pinned to it; how many, and the oldest.
SELECT t.agent, t.version, count(*) AS tasks, min(t.id::text) AS oldest
FROM tasks t
WHERE t.claimed_as IS NOT NULL AND t.status IN ('queued', 'running', 'waiting')
  AND NOT EXISTS (
      SELECT FROM workers w
      WHERE w.released_at IS NULL AND (w.id = t.worker_id OR (NOT w.draining AND w.version = t.version AND t.agent = ANY (w.agents))))
GROUP BY t.agent, t.version ORDER BY t.agent, t.version;
