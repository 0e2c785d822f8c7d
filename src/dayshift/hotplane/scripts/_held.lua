-- include: _queue
-- include: _wake
-- What workers hold. Each worker's count and digest are kept with every change; digest.py says what the digest is.

local DIGEST_MODULUS = 4503599627370496 -- 2^52

local function share_of(id)
  return tonumber(string.sub(id, -12), 16) or 0
end

local function count_held(worker, task, by)
  local hash = key('worker', worker)
  add(hash, 'count', by)
  set_number(hash, 'digest', (number_of(hash, 'digest') + by * share_of(task.id)) % DIGEST_MODULUS)
  add(RUNNING, 't:' .. task.tenant, by)
  add(RUNNING, 'a:' .. task.agent, by)
end

local function hold(worker, task, charged, weight)
  redis.call(
    'HSET', key('task', task.id), 'state', 'held', 'worker', worker, 'charged', exact(charged), 'weight', exact(weight))
  redis.call('SADD', key('held', worker), task.id)
  count_held(worker, task, 1)
end

local function is_held_by(task, worker)
  return task and task.state == 'held' and task.worker == worker
end

local function let_go(worker, task)
  redis.call('SREM', key('held', worker), task.id)
  count_held(worker, task, -1)
  touched[task.agent] = true
  if policy_of(task.tenant).cap >= 0 then
    take_back_from_aside(task.tenant)
  end
end

-- Back to the head of its line, as if it had not been claimed.
local function give_back(worker, task)
  let_go(worker, task)
  refund(task)
  put_in_lane(task)
end
