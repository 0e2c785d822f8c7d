-- Keep holds from expiring, and put back those that the plane has forgotten.
-- KEYS  the prefix of all keys
-- ARGV  clock (0: the plane's), ms until they expire unrenewed; then for each hold: id, nano usd, tokens, number of lines; for each of
--       these kind, tenant, name, period, the second in which that began
-- Reply 1
-- Promise: a counter that is not there is not made. What was settled is not held again.

-- include: _budget

local MS = tonumber(ARGV[2])
local at = 3
while at <= #ARGV do
  local id, nano, tokens, lines = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4
  for _ = 1, lines do
    local counter = counter_of(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4]))
    if redis.call('EXISTS', counter) == 1 and not redis.call('ZSCORE', holds_of(counter), mark_of(id)) then
      hold_in(counter, member_of(id, nano, tokens), nano, tokens, NOW_MS + MS)
    end
    at = at + 5
  end
end
return 1
