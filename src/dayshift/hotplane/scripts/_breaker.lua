-- A breaker of the fleet: its states, as `breakers.py` tells them. `load` brings one in, with what time alone has changed.
--
-- A name is PROVIDER:MODEL, a rule is four numbers: window in ms, least calls, ratio of errors, ms to stay open.

-- include: _slices

local LEASE_MS = 5000 -- of a probe; its worker renews it every second
local SPACING_MS = 1000 -- between the beginnings of probes that told nothing
local GROWTH, MOST = 1.5, 2 -- of the time open, with each probe that failed; and its bound, in times of the rule's
local RAMP_MS, RAMP_FIRST, RAMP_GROWTH = 5000, 2, 3 -- calls in the first second after a probe went well, and on
local RAMP_LEAST_CALLS = 3
local OUTLIVES_MS = 3600000

local function exact(number)
  return string.format('%.0f', number)
end

local function rule_at(at)
  return {
    window_ms = tonumber(ARGV[at]), min_calls = tonumber(ARGV[at + 1]),
    ratio = tonumber(ARGV[at + 2]), open_ms = tonumber(ARGV[at + 3]),
  }
end

local function after_ms(breaker)
  if breaker.state == 'open' then
    return math.max(breaker.until_ms - NOW_MS, 0)
  elseif breaker.state == 'probing' then
    return math.max(breaker.lease_ms - NOW_MS, 0)
  elseif breaker.state == 'ramp' and breaker.let >= breaker.allowed then
    return math.max(breaker.ramp_ms + (breaker.second + 1) * 1000 - NOW_MS, 0)
  end
  return 0
end

local function told(breaker)
  return breaker.state, exact(breaker.era), exact(after_ms(breaker))
end

local function publish(breaker)
  redis.call('PUBLISH', BREAKERS_CHANNEL, table.concat({ breaker.name, told(breaker) }, '|'))
end

local function keep(breaker)
  local ms = breaker.rule and 2 * breaker.rule.window_ms or OUTLIVES_MS
  if breaker.state ~= 'closed' then
    ms = math.max(breaker.until_ms - NOW_MS, 0) + OUTLIVES_MS
  end
  redis.call('PEXPIRE', breaker.key, exact(ms))
end

local function new_era(breaker)
  breaker.era = math.max(NOW_US, breaker.era + 1)
end

local function open(breaker)
  local openings = breaker.openings + 1
  local growth = math.min(GROWTH ^ (openings - 1), MOST)
  breaker.state, breaker.until_ms = 'open', NOW_MS + math.ceil(breaker.rule.open_ms * growth)
  new_era(breaker)
  redis.call('DEL', breaker.key)
  redis.call('HSET', breaker.key, 'state', 'open', 'era', exact(breaker.era), 'until', exact(breaker.until_ms),
    'openings', openings)
  keep(breaker)
  publish(breaker)
end

local function ramp(breaker)
  breaker.state, breaker.ramp_ms, breaker.second, breaker.let, breaker.allowed = 'ramp', NOW_MS, 0, 0, RAMP_FIRST
  new_era(breaker)
  redis.call('HDEL', breaker.key, 'probe', 'lease', 'began')
  redis.call('HSET', breaker.key, 'state', 'ramp', 'era', exact(breaker.era), 'ramp', exact(NOW_MS), 'good', 1)
  keep(breaker)
  publish(breaker)
end

-- The calls of the ramp are not counted again, and none of them belongs to an older era: it stays the same.
local function close(breaker)
  breaker.state = 'closed'
  redis.call('DEL', breaker.key)
  redis.call('HSET', breaker.key, 'era', exact(breaker.era))
  keep(breaker)
  publish(breaker)
end

local function load(name)
  local key = BREAKER .. name
  local state, era, until_ms, openings, probe, lease, began, ramp_ms, second, let = unpack(redis.call(
    'HMGET', key, 'state', 'era', 'until', 'openings', 'probe', 'lease', 'began', 'ramp', 'second', 'let'))
  local breaker = {
    name = name, key = key, state = state or 'closed', era = tonumber(era) or 0, until_ms = tonumber(until_ms) or 0,
    openings = tonumber(openings) or 0, probe = probe, lease_ms = tonumber(lease) or 0, began_ms = tonumber(began) or 0,
    ramp_ms = tonumber(ramp_ms) or 0,
  }
  if breaker.state == 'open' and probe and breaker.lease_ms > NOW_MS then
    breaker.state = 'probing'
  elseif breaker.state == 'ramp' then
    breaker.second = math.floor((NOW_MS - breaker.ramp_ms) / 1000)
    breaker.let = tonumber(second) == breaker.second and tonumber(let) or 0
    breaker.allowed = RAMP_FIRST * RAMP_GROWTH ^ breaker.second
    if NOW_MS - breaker.ramp_ms >= RAMP_MS then
      close(breaker)
    end
  end
  return breaker
end

local function has_failed(rule, least_calls, calls, failures)
  return failures > 0 and calls >= least_calls and failures >= rule.ratio * calls
end
