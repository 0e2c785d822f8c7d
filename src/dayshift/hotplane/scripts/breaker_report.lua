-- Count how calls went, and open what has failed too often.
-- KEYS  the prefix of all keys
-- ARGV  clock (0: the plane's); then for each breaker: name, era of the calls, calls, failures among them, its rule
-- Reply for each: state (closed, open, probing, ramp), era, ms until it is worth while to ask
-- Promise: calls of another era than the breaker's are not counted. It opens once, whoever reports last. A breaker that the
-- plane has no era of (a new one, or one that was lost) counts all.

-- include: _breaker

-- Whether of all calls since one of the last moments nearly all have failed: after a good minute an outage would need half
-- a minute more to be half of the window. A part of the window is less of a proof, so it has to show more failures.
local function is_breaking(rule, found)
  local calls, failures = 0, 0
  for age = 0, SLICES - 1 do
    calls = calls + (found.c and found.c[age] or 0)
    failures = failures + (found.f and found.f[age] or 0)
    if calls >= rule.min_calls and failures >= (1 + rule.ratio) / 2 * calls then
      return true
    end
  end
  return false
end

local function report(breaker, era, calls, failures)
  local rule = breaker.rule
  if breaker.era ~= 0 and era ~= breaker.era then
    return
  end
  if breaker.state == 'closed' then
    count(breaker.key, 'c', rule.window_ms, calls)
    count(breaker.key, 'f', rule.window_ms, failures)
    local found = counted(breaker.key, rule.window_ms)
    if has_failed(rule, rule.min_calls, sum(found.c), sum(found.f)) or is_breaking(rule, found) then
      open(breaker)
    else
      keep(breaker)
    end
  elseif breaker.state == 'ramp' then
    local good = redis.call('HINCRBY', breaker.key, 'good', calls - failures)
    local bad = redis.call('HINCRBY', breaker.key, 'bad', failures)
    if has_failed(rule, math.min(rule.min_calls, RAMP_LEAST_CALLS), good + bad, bad) then
      open(breaker)
    end
  end
end

local replies = {}
for at = 2, #ARGV, 8 do
  local breaker = load(ARGV[at])
  breaker.rule = rule_at(at + 4)
  report(breaker, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]))
  local state, era, after = told(breaker)
  replies[#replies + 1] = state
  replies[#replies + 1] = era
  replies[#replies + 1] = after
end
return replies
