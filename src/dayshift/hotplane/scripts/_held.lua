-- include: _queue
-- include: _wake
-- What workers hold. Each worker's count and digest are kept with every change; digest.py says what the digest is.
-- The sets of ids are written once a call, like numbers: finish() does it.

local held_changes = {} -- worker -> id -> whether it came (or else it went)

local function note_held(worker, id, came)
  held_changes[worker] = held_changes[worker] or {}
  held_changes[worker][id] = came
end

local function write_held()
  for worker, ids in pairs(held_changes) do
    local came, went = {}, {}
    for id, is_here in pairs(ids) do
      table.insert(is_here and came or went, id)
    end
    call_in_pieces('SADD', key('held', worker), came)
    call_in_pieces('SREM', key('held', worker), went)
  end
  held_changes = {}
end

local DIGEST_MODULUS = 4503599627370496 -- 2^52

local function share_of(id)
  return tonumber(string.sub(id, -12), 16) or 0
end

-- A cap is an agent's, whatever its tasks are claimed by: AGENT@VERSION counts as AGENT. What ends wakes those who wait for
-- its own name and for AGENT; who waits for the cap under another version's name finds the room when it looks again (5 s).
local agents_in = {} -- name -> agent

local function agent_in(name)
  local agent = agents_in[name]
  if not agent then
    agent = string.match(name, '^[^@]*')
    agents_in[name] = agent
  end
  return agent
end

local function count_held(worker, task, by)
  local hash = key('worker', worker)
  add(hash, 'count', by)
  set_number(hash, 'digest', (number_of(hash, 'digest') + by * share_of(task.id)) % DIGEST_MODULUS)
  if not is_of_the_house(task.agent) then
    add(RUNNING, 't:' .. task.tenant, by)
  end
  add(RUNNING, 'a:' .. agent_in(task.agent), by)
end

local function hold(worker, task, charged, weight)
  redis.call(
    'HSET', key('task', task.id), 'state', 'held', 'worker', worker, 'charged', exact(charged), 'weight', exact(weight))
  note_held(worker, task.id, true)
  count_held(worker, task, 1)
end

local function is_held_by(task, worker)
  return task and task.state == 'held' and task.worker == worker
end

local function let_go(worker, task)
  note_held(worker, task.id, false)
  count_held(worker, task, -1)
  touched[task.agent] = true
  touched[agent_in(task.agent)] = true
  if policy_of(task.tenant).cap >= 0 then
    take_back_from_aside(task.tenant)
  end
end

-- Back to the head of its line, as if it had not been claimed.
local function give_back(worker, task)
  let_go(worker, task)
  refund(task)
  put_in_lane(task)
end

-- The end of every script that changes state: write what was counted, then wake for what became possible.
local function finish()
  write_held()
  write_corrections()
  write_numbers()
  write_turns()
  for agent in pairs(touched) do
    if alarmed[agent] or next(turns_of(agent)) then
      alarmed[agent] = nil
      wake(agent)
    end
  end
  for agent in pairs(alarmed) do
    wake(agent)
  end
  touched, alarmed = {}, {}
end
