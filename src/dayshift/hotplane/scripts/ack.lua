-- Free the slots of tasks that a worker is done with, and queue again those that the ledger has queued again.
-- KEYS  marker
-- ARGV  call; worker; then for each: id, slot seconds, and '', or 'again' with a place to queue: id, agent, priority,
--       tenant, seq, due ms; or 'parked' with a place and when it wakes by itself (0: never)
-- Reply how many slots were freed
-- Promise: of a task that this worker does not hold nothing is changed, so a repeat frees nothing twice and a worker
-- that was superseded takes nothing from its successor. Places are queued in any case. What is parked is queued at once if it
-- was announced while the worker held it, else for its time; a repeat does not put off what was called since.
-- include: _held

local worker = ARGV[7]
local at = 8
local freed = 0

local function park(task, place, wake_at, is_called)
  if is_called then
    announce(place, false)
  elseif wake_at ~= '0' and (not task or is_held_by(task, worker)) then
    place.due = wake_at
    announce(place, false)
  end
end

while ARGV[at] do
  local task = task_of(ARGV[at])
  local is_called = false
  if is_held_by(task, worker) then
    is_called = was_called(task)
    let_go(worker, task)
    settle(task, tonumber(ARGV[at + 1]))
    forget_task(task.id)
    freed = freed + 1
  end
  if ARGV[at + 2] == 'again' then
    announce(place_at(at + 3), false)
    at = at + 6
  elseif ARGV[at + 2] == 'parked' then
    park(task, place_at(at + 3), ARGV[at + 9], is_called)
    at = at + 7
  end
  at = at + 3
end
finish()
return freed
