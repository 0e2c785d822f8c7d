-- Tell how a probe went.
-- KEYS  the prefix of all keys
-- ARGV  clock (0: the plane's), name, the probe's token, well | failed | nothing, the breaker's rule
-- Reply state, era, ms until it is worth while to ask
-- Promise: nothing changes unless this token is the breaker's latest probe. Repeating the call changes nothing more.

-- include: _breaker

local breaker, token, outcome = load(ARGV[2]), ARGV[3], ARGV[4]
breaker.rule = rule_at(5)

if breaker.probe and breaker.probe == token then
  if outcome == 'well' then
    ramp(breaker)
  elseif outcome == 'failed' then
    open(breaker)
  else
    breaker.state = 'open'
    breaker.until_ms = math.max(breaker.until_ms, breaker.began_ms + math.min(SPACING_MS, breaker.rule.open_ms))
    redis.call('HDEL', breaker.key, 'probe', 'lease', 'began')
    redis.call('HSET', breaker.key, 'until', exact(breaker.until_ms))
    publish(breaker)
  end
end
return { told(breaker) }
