-- include: _held
-- What a claim takes, slot by slot, without asking the server for each: the fronts of rings and lines are read once, and
-- what was taken is written once, at the end.
--
-- A claim of n slots can serve only tenants among the n first of a ring, and tasks among the n first of a lane; so much is
-- read. A tenant that is served moves back in its ring, maybe behind one that was not read: a front is read anew as soon
-- as its first tenant stands behind the last that was read (`read_to`), or when nobody is left in it.

local fronts = {} -- ring -> array of { tenant, time, moved } by time; read_to
local lines = {} -- lane -> array of ids, of which `taken` were; whole: there are no more; agent, priority, tenant

local function write_front(ring, front)
  local times = {}
  for _, entry in ipairs(front) do
    if entry.moved then
      times[#times + 1] = exact(entry.time)
      times[#times + 1] = entry.tenant
    end
  end
  call_in_pieces('ZADD', key('ring', ring), times)
end

local function front_of(ring, most)
  local front = fronts[ring]
  if front and front[1] and front[1].time <= front.read_to then
    return front
  end
  if front then
    write_front(ring, front)
  end
  local stored = redis.call('ZRANGE', key('ring', ring), 0, most - 1, 'WITHSCORES')
  front = { read_to = #stored == 2 * most and tonumber(stored[#stored]) or math.huge }
  for at = 1, #stored, 2 do
    front[#front + 1] = { tenant = stored[at], time = tonumber(stored[at + 1]) }
  end
  fronts[ring] = front
  return front
end

local function comes_before(one, other)
  return one.time < other.time or (one.time == other.time and one.tenant < other.tenant)
end

local function put_back(front, entry)
  local at = 1
  while front[at] and comes_before(front[at], entry) do
    at = at + 1
  end
  table.insert(front, at, entry)
end

-- A tenant is about to leave its ring: what leaving does with its time reads it from there.
local function write_time(ring, entry)
  if entry.moved then
    redis.call('ZADD', key('ring', ring), exact(entry.time), entry.tenant)
  end
end

local function line_of(agent, priority, tenant, most)
  local lane = lane_of(agent, priority, tenant)
  local line = lines[lane]
  if not line then
    line = redis.call('ZRANGE', key('lane', lane), 0, most - 1)
    line.whole, line.taken = #line < most, 0
    line.agent, line.priority, line.tenant = agent, priority, tenant
    lines[lane] = line
  end
  return line
end

-- A line that was not read as a whole ends only with the claim itself: only then its lane must be asked.
local function is_at_its_end(line)
  return line.taken == #line
    and (line.whole or redis.call('ZCARD', key('lane', lane_of(line.agent, line.priority, line.tenant))) == #line)
end

-- Whether the ring's first tenant was at its cap; then it has stepped aside.
local function step_aside_if_capped(agent, priority, most)
  local ring = ring_of(agent, priority)
  local front = front_of(ring, most)
  if is_of_the_house(agent) or not is_at_cap(front[1].tenant) then
    return false
  end
  local first = table.remove(front, 1)
  write_time(ring, first)
  move_aside(agent, priority, first.tenant)
  return true
end

-- The first task of the ring's first tenant, and what its slot is charged; nil when that tenant had to step aside.
local function serve(agent, priority, most)
  local ring = ring_of(agent, priority)
  if step_aside_if_capped(agent, priority, most) then
    return nil
  end
  local front = front_of(ring, most)
  local first = table.remove(front, 1)
  local tenant = first.tenant
  local line = line_of(agent, priority, tenant, most)
  line.taken = line.taken + 1
  local weight = policy_of(tenant).weight
  local charged = charge_slot(ring, first.time, weight)
  first.time, first.moved = first.time + charged / weight, true
  if is_at_its_end(line) then
    write_time(ring, first)
    leave_ring(agent, priority, tenant)
  else
    put_back(front, first)
  end
  return { id = line[line.taken], agent = agent, tenant = tenant }, charged, weight
end

local function write_served()
  for ring, front in pairs(fronts) do
    write_front(ring, front)
  end
  for lane, line in pairs(lines) do
    if line.taken > 0 then
      redis.call('ZREMRANGEBYRANK', key('lane', lane), 0, line.taken - 1)
      lane_became_shorter(line.agent, line.priority, line.tenant, line.taken)
    end
  end
  fronts, lines = {}, {}
end
