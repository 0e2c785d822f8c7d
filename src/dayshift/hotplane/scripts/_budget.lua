-- Budgets' counters (see budgets.py): where they lie, when their periods begin and end, and holds that nobody settled.
-- ARGV[1] is the clock in ms (0: the plane's). A line is kind, tenant, name, period, then the start of the period where it is known.

local HOUR, DAY = 3600, 86400
local AFTER_SECONDS = 3600 -- how long a counter is kept beyond its period, for what settles late
local EVER_SECONDS = 7 * DAY -- and one without a period, from its last use
local PRUNED_AT_ONCE = 100

local NOW_MS = tonumber(ARGV[1])
if NOW_MS == 0 then
  local time = redis.call('TIME')
  NOW_MS = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function whole(number)
  return string.format('%.0f', number)
end

-- The day of the month, from 0, of a day counted from 1970 (the civil calendar, in years that begin in March).
local function day_of_month(day)
  local shifted = day + 719468
  local of_era = shifted % 146097
  local year = math.floor(
    (of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524) - math.floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  return of_year - math.floor((153 * math.floor((5 * of_year + 2) / 153) + 2) / 5)
end

-- The seconds at which a period began and will end; 0, 0 for ever.
local function bounds_of(period)
  local now = math.floor(NOW_MS / 1000)
  if period == 'hour' then
    local start = now - now % HOUR
    return start, start + HOUR
  elseif period == 'day' then
    local start = now - now % DAY
    return start, start + DAY
  elseif period == 'month' then
    local today = math.floor(now / DAY)
    local first = today - day_of_month(today)
    local beyond = first + 31 -- in the next month, whichever this is
    return first * DAY, (beyond - day_of_month(beyond)) * DAY
  end
  return 0, 0
end

local function counter_of(kind, tenant, name, period, start)
  return BUDGET .. kind .. ':' .. tenant .. ':' .. name .. ':' .. period .. ':' .. whole(start)
end

local function holds_of(counter)
  return counter .. ':holds'
end

local function keep(counter, period, finish)
  local seconds = period == 'ever' and EVER_SECONDS or math.max(1, finish + AFTER_SECONDS - math.floor(NOW_MS / 1000))
  redis.call('EXPIRE', counter, seconds)
  redis.call('EXPIRE', holds_of(counter), seconds)
end

-- What is still settled against a counter whose period is over keeps the time that it has.
local function hold_in(counter, member, nano, tokens, until_ms)
  if redis.call('ZADD', holds_of(counter), until_ms, member) == 1 then
    redis.call('HINCRBY', counter, 'held_nano', nano)
    redis.call('HINCRBY', counter, 'held_tokens', tokens)
  end
  local left_ms = redis.call('PTTL', counter)
  if left_ms > 0 then
    redis.call('PEXPIRE', holds_of(counter), left_ms)
  end
end

local function minus(text)
  return text == '0' and '0' or '-' .. text
end

local function let_go(counter, member, nano, tokens)
  if redis.call('ZREM', holds_of(counter), member) == 1 then
    redis.call('HINCRBY', counter, 'held_nano', minus(nano))
    redis.call('HINCRBY', counter, 'held_tokens', minus(tokens))
  end
end

local function member_of(id, nano, tokens)
  return id .. '|' .. nano .. '|' .. tokens
end

local function mark_of(id)
  return id .. '|settled'
end

-- Takes out the holds that nobody renewed: their workers are dead. Marks of what was settled go in the same way.
local function prune(counter)
  local overdue = redis.call('ZRANGEBYSCORE', holds_of(counter), '-inf', whole(NOW_MS), 'LIMIT', 0, PRUNED_AT_ONCE)
  for _, member in ipairs(overdue) do
    local nano, tokens = string.match(member, '|(%d+)|(%d+)$')
    if nano then
      let_go(counter, member, nano, tokens)
    else
      redis.call('ZREM', holds_of(counter), member)
    end
  end
end
