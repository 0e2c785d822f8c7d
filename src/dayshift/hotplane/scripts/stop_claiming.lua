-- A worker takes no more work.
-- KEYS  marker
-- ARGV  call; worker
-- Promise: a wake-up that was meant for it, or had reached it, goes to another idle worker of its agents.
-- include: _held

local worker = ARGV[7]
local agents = redis.call('HGET', key('worker', worker), 'agents')
redis.call('HDEL', key('worker', worker), 'idle')
for agent in string.gmatch(agents or '', '%S+') do
  redis.call('ZREM', key('idle', agent), worker)
  touched[agent] = true
end
finish()
return 1
