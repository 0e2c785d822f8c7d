-- Keep an answer, and let the oldest go while all of them together are too many bytes.
-- KEYS  the prefix of all keys
-- ARGV  answer's name, value, milliseconds to keep it, bytes that all may take
-- Reply how many were let go
-- Promise: the sum of what is kept stays within the bound, whatever has run out meanwhile: the server evicts nothing by itself,
-- and a cache must not take the room of the queue. What ran out counts until it is the oldest, so the sum is never too small.

local ORDER, BYTES, SUM = ANSWERS .. 'order', ANSWERS .. 'bytes', ANSWERS .. 'sum'
local name, value, keep_ms, bound = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local function let_go(one)
  redis.call('UNLINK', ANSWERS .. 'of:' .. one)
  redis.call('ZREM', ORDER, one)
  local size = tonumber(redis.call('HGET', BYTES, one) or '0')
  redis.call('HDEL', BYTES, one)
  return redis.call('DECRBY', SUM, size)
end

local time = redis.call('TIME')
let_go(name)
redis.call('SET', ANSWERS .. 'of:' .. name, value, 'PX', keep_ms)
redis.call('ZADD', ORDER, tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), name)
redis.call('HSET', BYTES, name, #value + #name)
local sum = redis.call('INCRBY', SUM, #value + #name)
local gone = 0
while sum > bound do
  local oldest = redis.call('ZRANGE', ORDER, 0, 0)[1]
  if not oldest then
    redis.call('SET', SUM, 0)
    break
  end
  sum = let_go(oldest)
  gone = gone + 1
end
return gone
