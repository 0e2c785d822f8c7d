-- Give claimed tasks back to the heads of their lines.
-- KEYS  marker
-- ARGV  call; worker; ids
-- Reply how many were given back
-- Promise: tasks that this worker does not hold stay where they are; tenants are charged nothing for the others.
-- include: _held

local worker = ARGV[7]
local released = 0
for at = 8, #ARGV do
  local task = task_of(ARGV[at])
  if is_held_by(task, worker) then
    give_back(worker, task)
    released = released + 1
  end
end
finish()
return released
