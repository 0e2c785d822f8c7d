-- Compare in full what a worker holds; act on what two comparisons in a row found (leases.py says why).
-- KEYS  marker
-- ARGV  call; worker; number of ids, ids; then the known places: id, agent, priority, tenant, seq, due ms
-- Reply { ids given back, ids noted as held }
-- Promise: a task that another worker holds is left with it; a place that is queued is taken out of its line.
-- include: _held

local worker, count = ARGV[7], tonumber(ARGV[8])
local said, suspects = {}, {}
for at = 9, 8 + count do
  said[ARGV[at]] = true
end
for _, suspect in ipairs(redis.call('SMEMBERS', key('suspect', worker))) do
  suspects[suspect] = true
end
redis.call('DEL', key('suspect', worker))

local function is_found_again(mark, id)
  if suspects[mark .. id] then
    return true
  end
  redis.call('SADD', key('suspect', worker), mark .. id)
  return false
end

local requeued, restored = {}, {}
for _, id in ipairs(redis.call('SMEMBERS', key('held', worker))) do
  if not said[id] and is_found_again('-', id) then
    give_back(worker, task_of(id))
    table.insert(requeued, id)
  end
end
for at = 9 + count, #ARGV, 6 do
  local place = place_at(at)
  local task = task_of(place.id)
  if not (task and task.state == 'held') and is_found_again('+', place.id) then
    if task then
      take_out(task)
    end
    write_task(place, 'held')
    hold(worker, place, 0, 1)
    table.insert(restored, place.id)
  end
end
finish()
return { requeued, restored }
