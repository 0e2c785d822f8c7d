-- Take costs from several sliding windows at once: from all of them, or from none.
-- KEYS  the prefix of all keys
-- ARGV  clock in ms (0: the plane's), then for each window: name, quota, length in ms, cost
-- Reply 1 taken or 0 not, the clock in ms; then for each window: left, ms until it is empty again, ms until its cost fits (0: now)
-- Promise: no span as long as a window, wherever it begins, holds more than the quota; what is refused counts nowhere.

-- include: _rate_slices

local now_ms = tonumber(ARGV[1])
if now_ms == 0 then
  local time = redis.call('TIME')
  now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function read(at)
  local window = { key = RATE .. ARGV[at], quota = tonumber(ARGV[at + 1]), ms = tonumber(ARGV[at + 2]) }
  window.cost = tonumber(ARGV[at + 3])
  window.slice_ms = slice_ms_of(window.ms)
  local kept = redis.call('HMGET', window.key, 'sum', 'from', 'to')
  window.sum, window.from, window.to = tonumber(kept[1] or 0), tonumber(kept[2] or nil), tonumber(kept[3] or nil)
  return window
end

local function forget_what_is_too_old(window)
  local first = math.floor((now_ms - window.ms) / window.slice_ms)
  if not window.from or window.from >= first then
    return
  elseif window.to < first then
    redis.call('DEL', window.key)
    window.sum, window.from, window.to = 0, nil, nil
    return
  end
  local gone = {}
  for slice = window.from, first - 1 do
    gone[#gone + 1] = whole(slice)
  end
  for _, amount in ipairs(redis.call('HMGET', window.key, unpack(gone))) do
    window.sum = window.sum - tonumber(amount or 0)
  end
  window.from = first
  redis.call('HDEL', window.key, unpack(gone))
  redis.call('HSET', window.key, 'sum', whole(window.sum), 'from', whole(first))
end

local function take(window)
  local slice = math.max(math.floor(now_ms / window.slice_ms), window.to or 0) -- a clock that went back counts in the last
  window.sum = window.sum + window.cost
  redis.call('HINCRBY', window.key, whole(slice), whole(window.cost))
  if slice == window.to then
    redis.call('HSET', window.key, 'sum', whole(window.sum))
  else
    window.from, window.to = window.from or slice, slice
    redis.call('HSET', window.key, 'sum', whole(window.sum), 'from', whole(window.from), 'to', whole(slice))
    redis.call('PEXPIRE', window.key, whole(window.ms + 2 * window.slice_ms))
  end
end

local function ms_until_older(window, slice)
  return (slice + 1) * window.slice_ms + window.ms - now_ms
end

local function ms_until_it_fits(window)
  local most = window.quota - window.cost
  local sum, slice = window.sum, window.from
  while sum > most and slice <= window.to do
    sum = sum - tonumber(redis.call('HGET', window.key, whole(slice)) or 0)
    slice = slice + 1
  end
  return slice == window.from and 0 or ms_until_older(window, slice - 1)
end

local windows, fits = {}, true
for at = 2, #ARGV, 4 do
  local window = read(at)
  forget_what_is_too_old(window)
  windows[#windows + 1] = window
  fits = fits and window.sum + window.cost <= window.quota
end

local reply = { fits and 1 or 0, now_ms }
for _, window in ipairs(windows) do
  if fits then
    take(window)
  end
  reply[#reply + 1] = math.max(0, window.quota - window.sum)
  reply[#reply + 1] = window.to and ms_until_older(window, window.to) or 0
  reply[#reply + 1] = window.to and not fits and ms_until_it_fits(window) or 0
end
return reply
