-- Bring delayed tasks of every agent that are due into their lines; the safety net below the alarms of idle workers.
-- KEYS  marker
-- ARGV  call
-- Reply how many were due; at most 1,000 an agent, call again for more
-- Promise: none enters its line before its time; idle workers are woken for those that do.
-- include: _held

local PROMOTED_AN_AGENT = 1000

local promoted = 0
for _, agent in ipairs(redis.call('SMEMBERS', key('delays'))) do
  promoted = promoted + promote(agent, PROMOTED_AN_AGENT)
  if redis.call('EXISTS', key('delayed', agent)) == 0 then
    redis.call('SREM', key('delays'), agent)
  end
end
finish()
return promoted
