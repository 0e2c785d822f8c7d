-- Waking by push. A worker whose claim came back short is idle for its agents; work that appears wakes one of them, and
-- a claim that leaves work behind wakes the next, so that as many wake as there is work for.
--
-- A worker is idle while its hash says so; entries in idle:AGENT may be stale and are dropped when met. A message that
-- nobody received is passed to the next worker; the silent one claims by itself when its subscription is back.

-- Somebody who was not heard of lately is passed over: it may be frozen or cut off, with a socket that still takes all.

local TRIES = 64
local LEFT_MS = 6000 -- of a lease of 10 s: two beats are missing

local function is_silent(worker)
  local left_ms = redis.call('PTTL', LEASE .. worker)
  return left_ms >= 0 and left_ms < LEFT_MS
end

local function wake(agent)
  for _ = 1, TRIES do
    local worker = redis.call('ZPOPMIN', key('idle', agent))[1]
    if not worker then
      return
    end
    if redis.call('HDEL', key('worker', worker), 'idle') == 1 and not is_silent(worker)
      and redis.call('PUBLISH', WORKER_CHANNEL .. worker, 'wake') > 0 then
      return
    end
  end
end
