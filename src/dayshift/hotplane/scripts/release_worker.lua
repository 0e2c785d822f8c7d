-- Forget a worker that is dead or has gone.
-- KEYS  marker
-- ARGV  call; worker, lease key
-- Reply the ids of the tasks that it held
-- Promise: they are back at the heads of their lines, nothing of the worker is left, and a wake-up that it may have taken
-- with it is passed on. A repeat answers none.
-- include: _held

local worker = ARGV[7]
local agents = redis.call('HGET', key('worker', worker), 'agents')
redis.call('DEL', ARGV[8])
local ids = redis.call('SMEMBERS', key('held', worker))
for _, id in ipairs(ids) do
  give_back(worker, task_of(id))
end
for agent in string.gmatch(agents or '', '%S+') do
  redis.call('ZREM', key('idle', agent), worker)
  touched[agent] = true
end
finish()
redis.call('DEL', key('worker', worker), key('suspect', worker))
return ids
