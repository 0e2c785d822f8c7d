-- Look at breakers, and renew the probes that the looking worker makes.
-- KEYS  the prefix of all keys
-- ARGV  clock (0: the plane's); then for each breaker: name, the token of a probe that goes on ('': none)
-- Reply for each: state (closed, open, probing, ramp), era, ms until it is worth while to ask
-- Promise: a ramp that is over is closed by whoever looks first.

-- include: _breaker

local replies = {}
for at = 2, #ARGV, 2 do
  local breaker, token = load(ARGV[at]), ARGV[at + 1]
  if token ~= '' and breaker.probe == token then
    breaker.state, breaker.lease_ms = 'probing', NOW_MS + LEASE_MS
    redis.call('HSET', breaker.key, 'lease', exact(breaker.lease_ms))
  end
  local state, era, after = told(breaker)
  replies[#replies + 1] = state
  replies[#replies + 1] = era
  replies[#replies + 1] = after
end
return replies
