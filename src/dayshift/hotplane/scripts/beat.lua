-- Renew a worker's lease and compare what it holds with what the plane gave it.
-- KEYS  marker
-- ARGV  call; worker, lease key, time to live in ms, count, digest
-- Reply same | differs
-- Promise: the lease is renewed even if the answer is NOT_READY; differences found earlier are forgotten on `same`.

redis.call('SET', ARGV[8], '1', 'PX', ARGV[9])

-- include: _epoch

local worker = ARGV[7]
local held = redis.call('HMGET', key('worker', worker), 'count', 'digest')
if (tonumber(held[1]) or 0) == tonumber(ARGV[10]) and (tonumber(held[2]) or 0) == tonumber(ARGV[11]) then
  redis.call('DEL', key('suspect', worker))
  return 'same'
end
return 'differs'
