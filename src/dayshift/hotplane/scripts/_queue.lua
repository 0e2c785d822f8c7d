-- include: _order
-- include: _cold
-- Where a task is: in its lane (ready), waiting for its time (delayed), with a worker (held), or not here at all.

local function task_of(id)
  local said = redis.call(
    'HMGET', key('task', id), 'state', 'agent', 'priority', 'tenant', 'seq', 'due', 'worker', 'charged', 'weight')
  if not said[1] then
    return nil
  end
  return {
    id = id, state = said[1], agent = said[2], priority = said[3], tenant = said[4], seq = said[5], due = said[6],
    worker = said[7], charged = tonumber(said[8]) or 0, weight = tonumber(said[9]) or 1,
  }
end

-- Six arguments from ARGV[at] on.
local function place_at(at)
  return {
    id = ARGV[at], agent = ARGV[at + 1], priority = ARGV[at + 2], tenant = ARGV[at + 3], seq = ARGV[at + 4],
    due = ARGV[at + 5],
  }
end

local function write_task(task, state)
  redis.call(
    'HSET', key('task', task.id), 'state', state, 'agent', task.agent, 'priority', task.priority, 'tenant', task.tenant,
    'seq', task.seq, 'due', task.due)
end

local function forget_task(id)
  redis.call('DEL', key('task', id))
end

local function put_in_lane(task)
  local lane = key('lane', lane_of(task.agent, task.priority, task.tenant))
  write_task(task, 'ready')
  if redis.call('ZADD', lane, task.seq, task.id) == 1 then
    add(READY, task.agent, 1)
    if redis.call('ZCARD', lane) == 1 then
      join_ring(task.agent, task.priority, task.tenant)
    end
  end
  touched[task.agent] = true
end

local function lane_became_shorter(agent, priority, tenant, by)
  add(READY, agent, -by)
  note_thirst(agent, priority, tenant)
end

local function take_out_of_lane(task)
  local lane = key('lane', lane_of(task.agent, task.priority, task.tenant))
  if redis.call('ZREM', lane, task.id) == 1 then
    if redis.call('EXISTS', lane) == 0 then
      leave_ring(task.agent, task.priority, task.tenant)
    end
    lane_became_shorter(task.agent, task.priority, task.tenant, 1)
  end
end

local alarmed = {} -- agents whose earliest delayed task is a new one: somebody idle must set its alarm anew

local function put_in_delayed(task)
  local delayed = key('delayed', task.agent)
  write_task(task, 'delayed')
  redis.call('ZADD', delayed, task.due, task.id)
  if redis.call('ZRANGE', delayed, 0, 0)[1] == task.id then
    alarmed[task.agent] = true
  end
end

local function take_out(task)
  if task.state == 'ready' then
    take_out_of_lane(task)
  elseif task.state == 'delayed' then
    redis.call('ZREM', key('delayed', task.agent), task.id)
  end
end

local function is_same_place(task, place)
  return task.agent == place.agent and task.priority == place.priority and task.tenant == place.tenant
    and task.seq == place.seq
end

-- Something came for a task while a worker held it: by the ledger it may be parked, which its worker has not told yet.
local function note_called(task)
  redis.call('HSET', key('task', task.id), 'called', task.worker)
end

local function was_called(task)
  return redis.call('HGET', key('task', task.id), 'called') == task.worker
end

-- The newest word about a task wins, except that a worker keeps what it holds. Bringing it in by a refill is no question
-- of admission.
local function announce(place, by_refill)
  local task = task_of(place.id)
  if task and task.state == 'held' then
    note_called(task)
    return 'held'
  end
  local is_due = tonumber(place.due) <= NOW_MS
  if task and task.state == 'ready' and is_due and is_same_place(task, place) then
    return 'ready'
  end
  if task then
    take_out(task)
  end
  if not is_due then
    put_in_delayed(place)
    return 'delayed'
  end
  local lane = lane_of(place.agent, place.priority, place.tenant)
  if by_refill or is_admitted(place.agent, lane, tonumber(place.seq)) then
    put_in_lane(place)
    return 'ready'
  end
  forget_task(place.id)
  note_thirst(place.agent, place.priority, place.tenant)
  return 'cold'
end

-- Bring delayed tasks that are due into their lanes, at most `most` of them; how many there were.
local function promote(agent, most)
  local due = redis.call('ZRANGEBYSCORE', key('delayed', agent), '-inf', NOW_MS, 'LIMIT', 0, most)
  for _, id in ipairs(due) do
    local task = task_of(id)
    redis.call('ZREM', key('delayed', agent), id)
    if task and task.state == 'delayed' then
      if is_admitted(agent, lane_of(agent, task.priority, task.tenant), tonumber(task.seq)) then
        put_in_lane(task)
      else
        forget_task(id)
        note_thirst(agent, task.priority, task.tenant)
      end
    end
  end
  return #due
end
