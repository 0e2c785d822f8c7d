-- Put tenants' weights and concurrency caps in force, all at once.
-- KEYS  marker
-- ARGV  call; version, number of weights; tenant, weight ...; tenant, cap (-1 none) ...
-- Reply 1, or 0 when a newer version is in force
-- Promise: an older version never replaces a newer one; tenants below their new cap are taken back in.
-- include: _held

local version, weights = tonumber(ARGV[7]), tonumber(ARGV[8])
local policy = key('policy')
if (tonumber(redis.call('HGET', policy, 'version')) or -1) > version then
  return 0
end
redis.call('DEL', policy)
redis.call('HSET', policy, 'version', exact(version))
for at = 9, #ARGV, 2 do
  local kind = at < 9 + 2 * weights and 'w:' or 'c:'
  redis.call('HSET', policy, kind .. ARGV[at], ARGV[at + 1])
end
for _, tenant in ipairs(redis.call('SMEMBERS', key('asides'))) do
  take_back_from_aside(tenant)
end
finish()
return 1
