-- include: _epoch
-- include: _numbers
-- Whose turn it is.
--
-- A ready task waits in the LANE of its agent, priority and tenant, in the order of acceptance (seq). The tenants that
-- have such a lane form the RING of their agent and priority. Each ring orders its tenants by virtual time: being served
-- advances a tenant by slot seconds / weight, and the lowest is next, so that tenants share slots by weight and a long
-- backlog gains nothing.
--
--   * How long a task will hold its slot is not known when it is claimed: the ring's running mean is charged, and the
--     ack corrects it. So shares hold for very short tasks and for many that run at once.
--   * A tenant that comes (back) enters at max(ring's time, its own): it neither saves up turns while it was away nor
--     loses what it still owes. The ring's time is that of the tenant served last, and never goes back.
--   * When the mean was far too high, corrections would leave a tenant far behind the ring's time, and whoever came in
--     meanwhile would wait for all of that. So nobody falls further behind it than CREDIT_SLOTS average slots of the ring
--     (the same distance for every weight, or light tenants would gain by it). Nor is a first guess ever too high: until
--     the first ack a slot is charged the least that any slot costs.
--   * What a tenant that is away still owes is its credit. Tenants that come once and never again would leave theirs for
--     ever, so each new one looks at a few others, by chance: what the ring's time has passed is forgotten, and beyond
--     MOST_CREDITS the least of them. A tenant that still runs something keeps its own: the ack starts from it.
--
-- A claim takes, slot by slot, from the ring of the highest priority among its agents; among equals from the ring that
-- was served longest ago. Every AGED_SLOT-th slot given to workers of the same agents goes instead to the ring *below
-- the highest priority* that was served longest ago, so that a flood of high priorities leaves the others an eighth.
-- It goes to a ring and not to a lane: given to the lane that waited longest, a tenant of weight 1 beside one of weight
-- 100 would get an eighth of all slots; inside of the ring weights hold.
--
-- A tenant at its cap is taken out of a ring when its turn comes there, and put back into all of them when it falls
-- below (ack, release, new policy): each removal is paid for by one slot, and nobody scans past it in between.
--
-- All names here are escaped (no `:` inside), see keys.py.

local AGED_SLOT = 8
local CREDIT_SLOTS = 32
local LEAST_SLOT_SECONDS = 0.001
local MEAN_SHARE = 0.1
local FEW_CREDITS, MOST_CREDITS, CREDITS_LOOKED_AT = 64, 1000, 4

local READY, RUNNING, RINGSTATE, TURNS = key('ready'), key('running'), key('ringstate'), key('turns')

local function next_turn()
  add(TURNS, 'turn', 1)
  return number_of(TURNS, 'turn')
end

-- Policy --------------------------------------------------------------------------------------------------------------

local policies = {}

local function policy_of(tenant)
  local policy = policies[tenant]
  if not policy then
    local said = redis.call('HMGET', key('policy'), 'w:' .. tenant, 'w:*', 'c:' .. tenant, 'c:*')
    policy = { weight = tonumber(said[1] or said[2]) or 1, cap = tonumber(said[3] or said[4]) or -1 }
    policies[tenant] = policy
  end
  return policy
end

-- What the house's own agents do for a tenant (deliveries of webhooks) takes none of its concurrency, and waits for none.
local function is_of_the_house(agent)
  return string.sub(agent, 1, 9) == 'dayshift.'
end

local function is_at_cap(tenant)
  local cap = policy_of(tenant).cap
  return cap >= 0 and number_of(RUNNING, 't:' .. tenant) >= cap
end

-- Rings ---------------------------------------------------------------------------------------------------------------

local ring_turns, ring_changes = {}, {}

-- The priorities of an agent that have somebody in their ring, each with the turn of its last service.
local function turns_of(agent)
  local turns = ring_turns[agent]
  if not turns then
    turns = {}
    local stored = redis.call('ZRANGE', key('rings', agent), 0, -1, 'WITHSCORES')
    for at = 1, #stored, 2 do
      turns[stored[at]] = tonumber(stored[at + 1])
    end
    ring_turns[agent] = turns
  end
  return turns
end

local function set_turn(agent, priority, turn)
  turns_of(agent)[priority] = turn
  ring_changes[agent] = ring_changes[agent] or {}
  ring_changes[agent][priority] = true
end

local function write_turns()
  for agent, priorities in pairs(ring_changes) do
    for priority in pairs(priorities) do
      local turn = ring_turns[agent][priority]
      if turn then
        redis.call('ZADD', key('rings', agent), exact(turn), priority)
      else
        redis.call('ZREM', key('rings', agent), priority)
      end
    end
  end
  ring_changes = {}
end

local function ring_of(agent, priority)
  return agent .. ':' .. priority
end

local function ring_time(ring)
  return number_of(RINGSTATE, ring .. ':v')
end

local function mean_slot_seconds(ring)
  local mean = number_of(RINGSTATE, ring .. ':m')
  return mean > 0 and mean or LEAST_SLOT_SECONDS
end

-- How far virtual time goes on in an average slot is mean_slot_seconds * this: the running mean of 1 / weight.
local function mean_inverse_weight(ring)
  local mean = number_of(RINGSTATE, ring .. ':u')
  return mean > 0 and mean or 1
end

-- A tenant whose time was `time` is served: the ring's time is its, and its own is to go on by what is answered / weight.
local function charge_slot(ring, time, weight)
  local charged = mean_slot_seconds(ring)
  local inverse = number_of(RINGSTATE, ring .. ':u')
  set_number(RINGSTATE, ring .. ':u', inverse > 0 and inverse + MEAN_SHARE * (1 / weight - inverse) or 1 / weight)
  set_number(RINGSTATE, ring .. ':v', math.max(ring_time(ring), time))
  return charged
end

local function set_aside(agent, priority, tenant)
  redis.call('SADD', key('aside', tenant), ring_of(agent, priority))
  redis.call('SADD', key('asides'), tenant)
end

local function is_running_nothing(tenant)
  return number_of(RUNNING, 't:' .. tenant) <= 0
end

local function forget_some_credit(ring, keep)
  local credit = key('credit', ring)
  local number = redis.call('HLEN', credit)
  if number <= FEW_CREDITS then
    return
  end
  local some, least, least_time = redis.call('HRANDFIELD', credit, CREDITS_LOOKED_AT, 'WITHVALUES'), nil, math.huge
  for at = 1, #some, 2 do
    local tenant, time = some[at], tonumber(some[at + 1])
    if tenant ~= keep and is_running_nothing(tenant) then
      if time <= ring_time(ring) then
        number = number - redis.call('HDEL', credit, tenant)
      elseif time < least_time then
        least, least_time = tenant, time
      end
    end
  end
  if number > MOST_CREDITS and least then
    redis.call('HDEL', credit, least)
  end
end

local function set_credit(ring, tenant, time)
  if redis.call('HSET', key('credit', ring), tenant, exact(time)) == 1 then
    forget_some_credit(ring, tenant)
  end
end

local function keep_credit(ring, tenant, time)
  if time > ring_time(ring) then
    set_credit(ring, tenant, time)
  end
end

-- A lane has its first task, or its tenant fell below the cap.
local function join_ring(agent, priority, tenant)
  if is_at_cap(tenant) and not is_of_the_house(agent) then
    set_aside(agent, priority, tenant)
    return
  end
  local ring = ring_of(agent, priority)
  local own = tonumber(redis.call('HGET', key('credit', ring), tenant))
  if own then
    redis.call('HDEL', key('credit', ring), tenant)
  end
  redis.call('ZADD', key('ring', ring), exact(math.max(ring_time(ring), own or 0)), tenant)
  if not turns_of(agent)[priority] then
    set_turn(agent, priority, next_turn())
  end
end

local function forget_ring_if_empty(agent, priority)
  if redis.call('EXISTS', key('ring', ring_of(agent, priority))) == 0 then
    set_turn(agent, priority, nil)
  end
end

-- A lane lost its last task, wherever its tenant stands.
local function leave_ring(agent, priority, tenant)
  local ring = ring_of(agent, priority)
  local time = tonumber(redis.call('ZSCORE', key('ring', ring), tenant))
  if time then
    redis.call('ZREM', key('ring', ring), tenant)
    keep_credit(ring, tenant, time)
    forget_ring_if_empty(agent, priority)
  elseif redis.call('SREM', key('aside', tenant), ring) == 1 and redis.call('EXISTS', key('aside', tenant)) == 0 then
    redis.call('SREM', key('asides'), tenant)
  end
end

local function move_aside(agent, priority, tenant)
  local ring = ring_of(agent, priority)
  keep_credit(ring, tenant, tonumber(redis.call('ZSCORE', key('ring', ring), tenant)))
  redis.call('ZREM', key('ring', ring), tenant)
  set_aside(agent, priority, tenant)
  forget_ring_if_empty(agent, priority)
end

local touched = {}

local function take_back_from_aside(tenant)
  if is_at_cap(tenant) then
    return
  end
  for _, ring in ipairs(redis.call('SMEMBERS', key('aside', tenant))) do
    local agent, priority = string.match(ring, '^(.*):(.*)$')
    join_ring(agent, priority, tenant)
    touched[agent] = true
  end
  redis.call('DEL', key('aside', tenant))
  redis.call('SREM', key('asides'), tenant)
end

-- What a slot cost ----------------------------------------------------------------------------------------------------

local corrections = {} -- ring -> tenant -> seconds / weight; a call with many acks of a tenant writes its time once

local function correct(ring, tenant, by)
  corrections[ring] = corrections[ring] or {}
  corrections[ring][tenant] = (corrections[ring][tenant] or 0) + by
end

local function write_correction(ring, tenant, by)
  local floor = ring_time(ring) - CREDIT_SLOTS * mean_slot_seconds(ring) * mean_inverse_weight(ring)
  local stands = tonumber(redis.call('ZSCORE', key('ring', ring), tenant))
  local time = stands or tonumber(redis.call('HGET', key('credit', ring), tenant)) or ring_time(ring)
  local corrected = math.max(time + by, floor)
  if stands then
    redis.call('ZADD', key('ring', ring), exact(corrected), tenant)
  elseif corrected > ring_time(ring) or not is_running_nothing(tenant) then
    set_credit(ring, tenant, corrected)
  else
    redis.call('HDEL', key('credit', ring), tenant)
  end
end

local function write_corrections()
  for ring, tenants in pairs(corrections) do
    for tenant, by in pairs(tenants) do
      write_correction(ring, tenant, by)
    end
  end
  corrections = {}
end

-- A slot was used: the mean learns from it, and the tenant pays what it took.
local function settle(task, slot_seconds)
  local ring = ring_of(task.agent, task.priority)
  local cost = math.max(slot_seconds, LEAST_SLOT_SECONDS)
  if slot_seconds > 0 then
    local mean = number_of(RINGSTATE, ring .. ':m')
    set_number(RINGSTATE, ring .. ':m', mean > 0 and mean + MEAN_SHARE * (cost - mean) or cost)
  end
  correct(ring, task.tenant, (cost - task.charged) / task.weight)
end

-- A slot was not used: nothing is owed.
local function refund(task)
  if task.charged > 0 then
    correct(ring_of(task.agent, task.priority), task.tenant, -task.charged / task.weight)
  end
end
