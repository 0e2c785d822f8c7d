-- Ask to call what may be open.
-- KEYS  the prefix of all keys
-- ARGV  clock (0: the plane's), name, a token for a probe that may come of it
-- Reply go | probe | wait; state, era, ms until it is worth while to ask again
-- Promise: while it is not closed and no ramp, one `probe` at a time is given, to be settled under its token by breaker_probed; one
-- that nobody renews is free again after 5 s. During a ramp each second lets so many through, and no more.

-- include: _breaker

local breaker, token = load(ARGV[2]), ARGV[3]

local function permit()
  if breaker.state == 'closed' then
    return 'go'
  elseif breaker.state == 'ramp' then
    if breaker.let >= breaker.allowed then
      return 'wait'
    end
    breaker.let = breaker.let + 1
    redis.call('HSET', breaker.key, 'second', breaker.second, 'let', breaker.let)
    return 'go'
  elseif breaker.state == 'probing' then
    return breaker.probe == token and 'probe' or 'wait'
  elseif breaker.until_ms > NOW_MS then
    return 'wait'
  end
  breaker.state, breaker.lease_ms = 'probing', NOW_MS + LEASE_MS
  redis.call('HSET', breaker.key, 'probe', token, 'lease', exact(breaker.lease_ms), 'began', exact(NOW_MS))
  keep(breaker)
  publish(breaker)
  return 'probe'
end

local word = permit()
return { word, told(breaker) }
