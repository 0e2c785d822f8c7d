-- Take costs from several sliding windows at once: from all of them, or from none.
-- KEYS  the prefix of all keys
-- ARGV  clock in ms (0: the plane's), then for each window: name, quota, length in ms, cost
-- Reply 1 taken or 0 not; then for each window: left, ms until it is empty again, ms until its cost fits (0: now)
-- Promise: no span as long as a window, wherever it begins, holds more than the quota; what is refused counts nowhere.

local SLICES = 120 -- a slice counts until all of it is older than the window, so up to 1/120 of it too long

local now_ms = tonumber(ARGV[1])
if now_ms == 0 then
  local time = redis.call('TIME')
  now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- What still counts, oldest first, as pairs of the ms at which it ends to count and the amount.
local function read(key, window_ms, slice_ms)
  local flat, parts, sum = redis.call('HGETALL', key), {}, 0
  for at = 1, #flat, 2 do
    local ends_ms = (tonumber(flat[at]) + 1) * slice_ms + window_ms
    if ends_ms <= now_ms then
      redis.call('HDEL', key, flat[at])
    else
      parts[#parts + 1] = { ends_ms, tonumber(flat[at + 1]) }
      sum = sum + tonumber(flat[at + 1])
    end
  end
  table.sort(parts, function(a, b) return a[1] < b[1] end)
  return parts, sum
end

local function wait_ms(parts, sum, quota, cost)
  for _, part in ipairs(parts) do
    if sum + cost <= quota then
      break
    end
    sum = sum - part[2]
    if sum + cost <= quota then
      return part[1] - now_ms
    end
  end
  return 0
end

local windows, fits = {}, true
for at = 2, #ARGV, 4 do
  local cost = tonumber(ARGV[at + 3])
  local quota, window_ms = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local slice_ms = math.max(1, math.ceil(window_ms / SLICES))
  local key = RATE .. ARGV[at]
  local parts, sum = read(key, window_ms, slice_ms)
  windows[#windows + 1] =
    { key = key, quota = quota, ms = window_ms, slice_ms = slice_ms, cost = cost, parts = parts, sum = sum }
  fits = fits and sum + cost <= quota
end

local reply = { fits and 1 or 0 }
for _, window in ipairs(windows) do
  local last, wait = window.parts[#window.parts], 0
  local empty_ms = last and last[1] - now_ms or 0
  if fits then
    local slice = math.floor(now_ms / window.slice_ms)
    redis.call('HINCRBY', window.key, string.format('%.0f', slice), window.cost)
    redis.call('PEXPIRE', window.key, window.ms + 2 * window.slice_ms)
    window.sum = window.sum + window.cost
    empty_ms = math.max(empty_ms, (slice + 1) * window.slice_ms + window.ms - now_ms)
  else
    wait = wait_ms(window.parts, window.sum, window.quota, window.cost)
  end
  reply[#reply + 1] = math.max(0, window.quota - window.sum)
  reply[#reply + 1] = empty_ms
  reply[#reply + 1] = wait
end
return reply
