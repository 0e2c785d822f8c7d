-- Free the slots of tasks that a worker is done with, and queue again those that the ledger has queued again.
-- KEYS  marker
-- ARGV  call; worker; then for each: id, slot seconds, and '' or 'again' with a place to queue: id, agent, priority,
--       tenant, seq, due ms
-- Reply how many slots were freed
-- Promise: of a task that this worker does not hold nothing is changed, so a repeat frees nothing twice and a worker
-- that was superseded takes nothing from its successor. Places are queued in any case.
-- include: _held

local worker = ARGV[7]
local at = 8
local freed = 0
while ARGV[at] do
  local task = task_of(ARGV[at])
  if is_held_by(task, worker) then
    let_go(worker, task)
    settle(task, tonumber(ARGV[at + 1]))
    forget_task(task.id)
    freed = freed + 1
  end
  if ARGV[at + 2] == 'again' then
    announce(place_at(at + 3), false)
    at = at + 6
  end
  at = at + 3
end
finish()
return freed
