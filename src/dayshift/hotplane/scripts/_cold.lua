-- Long backlogs: the head of a lane is hot, its tail lies in the ledger only.
--
-- `cold[LANE]` is the boundary: places with a lower seq are hot, or finished; from it on the ledger must be asked. A lane
-- without a boundary is hot as a whole. It moves so:
--
--   whole ──too much is ready, and the lane has its floor──▶ cold from that seq
--   cold  ──a refill brought a full page──▶ cold from the first place after the page
--   cold  ──a refill brought the last of it──▶ whole
--
-- A place at or behind the boundary is refused: it is in the ledger, and will come with a refill. One before it is let
-- in, as it must keep its turn (a retry, a task that another commit overtook); so is one before the end of a whole lane.
--
-- *The race.* A refill reads the ledger and then writes here. A task accepted in between is not in its page, was refused
-- here because the boundary stood, and would be stranded if the refill now declared the lane whole. So the lowest seq
-- refused since a refill was given out is kept in `refused[LANE]`, and the refill leaves the boundary there at the latest.
-- What is brought twice is only updated, what has been claimed or is gone is refused by the ledger: nothing is lost, and
-- nothing runs twice.
--
-- *The guard.* A lane that runs low stands in `thirst:AGENT` with the time from which its refill may be given out. A claim
-- hands it out with a token and sets that time 2 s ahead. If its worker dies, the next claim after that (idle workers are
-- told when) hands it out again, and the older token is worth nothing.

local COLD, REFUSED = key('cold'), key('refused')
local REFILL_GUARD_MS = 2000
local REFILLS_A_CLAIM = 4

local BOUND = {
  agent_ready = tonumber(ARGV[3]),
  lane_floor = tonumber(ARGV[4]),
  low_water = tonumber(ARGV[5]),
  page = tonumber(ARGV[6]),
}

local function lane_of(agent, priority, tenant)
  return agent .. ':' .. priority .. ':' .. tenant
end

local function refuse(lane, seq)
  local refused = number_of(REFUSED, lane)
  if refused == 0 or seq < refused then
    set_number(REFUSED, lane, seq)
  end
end

-- Whether a place may enter its lane; a refusal moves or notes the boundary.
local function is_admitted(agent, lane, seq)
  local from_seq = number_of(COLD, lane)
  if from_seq > 0 then
    if seq >= from_seq then
      refuse(lane, seq)
    end
    return seq < from_seq
  end
  if number_of(READY, agent) < BOUND.agent_ready or redis.call('ZCARD', key('lane', lane)) < BOUND.lane_floor then
    return true
  end
  local last = redis.call('ZRANGE', key('lane', lane), -1, -1, 'WITHSCORES')[2]
  if seq < tonumber(last) then
    return true
  end
  set_number(COLD, lane, seq)
  return false
end

local function room_in(agent, lane)
  local size = redis.call('ZCARD', key('lane', lane))
  local room_of_agent = BOUND.agent_ready - number_of(READY, agent)
  if size < BOUND.lane_floor / 2 or (size < BOUND.low_water and room_of_agent > 0) then
    return math.max(BOUND.lane_floor - size, math.min(BOUND.page, room_of_agent), 1)
  end
  return 0
end

-- A lane got shorter, or its boundary moved. Its refill may be given out at once (any moment that has passed says so), of
-- higher priorities before that of lower ones.
local function note_thirst(agent, priority, tenant)
  local lane = lane_of(agent, priority, tenant)
  if number_of(COLD, lane) > 0 and room_in(agent, lane) > 0 then
    redis.call('ZADD', key('thirst', agent), 'NX', -tonumber(priority), priority .. ':' .. tenant)
  end
end

-- The refills that this claim is to carry out, and when the next one may be asked for.
local function give_out_refills(agents)
  local given, next_ms = {}, nil
  if redis.call('EXISTS', COLD) == 0 and not next(changed[COLD] or {}) then
    return given, next_ms
  end
  for _, agent in ipairs(agents) do
    local wanting = redis.call(
      'ZRANGEBYSCORE', key('thirst', agent), '-inf', NOW_MS, 'LIMIT', 0, REFILLS_A_CLAIM - #given)
    for _, member in ipairs(wanting) do
      local lane = agent .. ':' .. member
      local priority, tenant = string.match(member, '^(.-):(.*)$')
      local room = room_in(agent, lane)
      if number_of(COLD, lane) == 0 or room == 0 then
        redis.call('ZREM', key('thirst', agent), member)
      else
        local token = exact(next_turn())
        redis.call('ZADD', key('thirst', agent), NOW_MS + REFILL_GUARD_MS, member)
        redis.call('HSET', key('refill'), lane, token)
        set_number(REFUSED, lane, 0)
        table.insert(given, { agent, priority, tenant, exact(number_of(COLD, lane)), exact(room), token })
      end
    end
    local first = redis.call('ZRANGE', key('thirst', agent), 0, 0, 'WITHSCORES')
    if first[2] then
      next_ms = math.min(next_ms or math.huge, math.max(tonumber(first[2]), 1))
    end
  end
  return given, next_ms
end
