-- Give back what was taken from sliding windows for something that did not come about.
-- KEYS  the prefix of all keys
-- ARGV  the clock in ms at which it was taken, then for each window: name, length in ms, cost
-- Reply 1
-- Promise: what is given back counts no more; what counts no more anyway, since it is too old or was forgotten, is not given back.

-- include: _rate_slices

local taken_ms = tonumber(ARGV[1])
for at = 2, #ARGV, 3 do
  local key, cost = RATE .. ARGV[at], tonumber(ARGV[at + 2])
  local slice = whole(math.floor(taken_ms / slice_ms_of(tonumber(ARGV[at + 1]))))
  local back = math.min(cost, tonumber(redis.call('HGET', key, slice) or 0))
  if back > 0 then
    redis.call('HINCRBY', key, slice, whole(-back))
    redis.call('HINCRBY', key, 'sum', whole(-back))
  end
end
return 1
