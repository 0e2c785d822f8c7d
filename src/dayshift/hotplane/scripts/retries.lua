-- Count calls and ask whether retries may be made, as a share of them.
-- KEYS  the prefix of all keys
-- ARGV  clock (0: the plane's), window in ms, share, retries that are always free; then for each provider: name, calls, 1 to ask
-- Reply for each: 1 the retry may be made, and is counted; 0 not, or not asked
-- Promise: within a window no more retries are allowed than the share of its calls, or the free ones if that is more.

-- include: _slices

local window_ms, share, free = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local replies = {}
for at = 5, #ARGV, 3 do
  local key = RETRIES .. ARGV[at]
  count(key, 'c', window_ms, tonumber(ARGV[at + 1]))
  local allowed = 0
  if ARGV[at + 2] == '1' then
    local found = counted(key, window_ms)
    if sum(found.r) + 1 <= math.max(share * sum(found.c), free) then
      count(key, 'r', window_ms, 1)
      allowed = 1
    end
  end
  redis.call('PEXPIRE', key, string.format('%.0f', 2 * window_ms))
  replies[#replies + 1] = allowed
end
return replies
