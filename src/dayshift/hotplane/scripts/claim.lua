-- Give a worker tasks, one for each free slot as far as there are any.
-- KEYS  marker
-- ARGV  call; worker, request, count; then for each agent: what to claim by, concurrency cap (-1 none)
-- Reply { ids, refills { agent, priority, tenant, from_seq, room, token }, next due wall ms (0: none) }
-- Promise: the order of _order.lua; only these agents, none above its cap; repeating the worker's latest request gives
-- the ids of it that the worker still holds; the cost grows with count and the number of agents, not with the backlog.
-- A worker that gets fewer than count is idle: it will be woken. One that leaves work behind wakes another for each agent
-- that has some, as it may have promoted tasks of agents that the next to wake does not run.
-- include: _serving

local PROMOTED_A_CLAIM = 200

local worker, request, count = ARGV[7], ARGV[8], tonumber(ARGV[9])
local at = 10
local agents, room = {}, {}
local names = {} -- agent -> all that it is claimed by here: one room for them all
while ARGV[at] do
  local agent, cap = ARGV[at], tonumber(ARGV[at + 1])
  table.insert(agents, agent)
  local capped = agent_in(agent)
  room[agent] = cap < 0 and math.huge or cap - number_of(RUNNING, 'a:' .. capped)
  names[capped] = names[capped] or {}
  table.insert(names[capped], agent)
  at = at + 2
end
table.sort(agents)
local slots = 's:' .. redis.sha1hex(table.concat(agents, ':'))

local function has_work(agent)
  return room[agent] > 0 and next(turns_of(agent)) ~= nil
end

-- Of two rings the one that was served longer ago; either may be missing.
local function earlier(one, other)
  if one and other then
    return one.turn < other.turn and one or other
  end
  return one or other
end

-- The ring that is next: of the highest priority, or, for an aged slot, below it; there the one served longest ago. And the
-- ring of the highest priority in any case.
local function pick()
  local top, below
  for _, agent in ipairs(agents) do
    if room[agent] > 0 then
      for priority, turn in pairs(turns_of(agent)) do
        local ring = { agent = agent, priority = priority, level = tonumber(priority), turn = turn }
        if not top or ring.level > top.level then
          top, below = ring, earlier(top, below)
        elseif ring.level < top.level then
          below = earlier(ring, below)
        else
          top = earlier(ring, top)
        end
      end
    end
  end
  local is_aged = (number_of(TURNS, slots) + 1) % AGED_SLOT == 0
  return is_aged and below or top, top
end

local function note_served(ring)
  local agent = ring.agent
  if turns_of(agent)[ring.priority] then
    set_turn(agent, ring.priority, next_turn())
  end
  for _, name in ipairs(names[agent_in(agent)]) do
    room[name] = room[name] - 1
  end
  add(TURNS, slots, 1)
end

local function take_new()
  for _, agent in ipairs(agents) do
    promote(agent, PROMOTED_A_CLAIM)
  end
  touched, alarmed = {}, {} -- this worker takes of it what it can, and then wakes the next
  local ids = {}
  while #ids < count do
    local ring, top = pick()
    if not ring then
      break
    end
    -- Below a ring that nobody can be served from there is no aged slot: what is next may be the highest then.
    local is_real = ring == top or not step_aside_if_capped(top.agent, top.priority, count - #ids)
    local task, charged, weight
    if is_real then
      task, charged, weight = serve(ring.agent, ring.priority, count - #ids)
    end
    if task then
      hold(worker, task, charged, weight)
      note_served(ring)
      ids[#ids + 1] = task.id
    end
  end
  write_served()
  return ids
end

local function taken_before(ids_text)
  local ids = {}
  for id in string.gmatch(ids_text, '%S+') do
    if is_held_by(task_of(id), worker) then
      table.insert(ids, id)
    end
  end
  return ids
end

local WORKER = key('worker', worker)
local last = redis.call('HMGET', WORKER, 'request', 'reply')
local ids = last[1] == request and taken_before(last[2]) or take_new()
redis.call('HSET', WORKER, 'request', request, 'reply', table.concat(ids, ' '), 'agents', table.concat(agents, ' '))

local refills, next_due = give_out_refills(agents)
for _, agent in ipairs(agents) do
  local first = redis.call('ZRANGE', key('delayed', agent), 0, 0, 'WITHSCORES')
  if first[2] then
    next_due = math.min(next_due or math.huge, tonumber(first[2]))
  end
end

if #ids < count then
  local turn = exact(next_turn())
  redis.call('HSET', WORKER, 'idle', 1)
  for _, agent in ipairs(agents) do
    redis.call('ZADD', key('idle', agent), turn, worker)
  end
else
  redis.call('HDEL', WORKER, 'idle')
  for _, agent in ipairs(agents) do
    if has_work(agent) then
      wake(agent)
    end
  end
end
finish()
return { ids, refills, next_due and exact(next_due) or 0 }
