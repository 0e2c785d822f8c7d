-- A worker's limiter is alive.
-- KEYS  the prefix of all keys of limits
-- ARGV  worker, for how many ms it counts as alive; 0: it leaves
-- Reply how many are alive
-- Promise: none is counted who was not heard for so long.

local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local alive_ms = tonumber(ARGV[2])

if alive_ms > 0 then
  redis.call('ZADD', LIMIT_WORKERS, now_ms + alive_ms, ARGV[1])
else
  redis.call('ZREM', LIMIT_WORKERS, ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', LIMIT_WORKERS, '-inf', now_ms)
return redis.call('ZCARD', LIMIT_WORKERS)
