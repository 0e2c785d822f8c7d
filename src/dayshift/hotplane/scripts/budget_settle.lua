-- End a hold: what was held is free, what was spent counts.
-- KEYS  the prefix of all keys
-- ARGV  clock (0: the plane's), the hold's id, ms in which this may be repeated, nano usd and tokens that were held, that were spent;
--       then for each line: kind, tenant, name, period, the second in which that began
-- Reply 1
-- Promise: counted once, however often it is told. A counter that is not there is left alone: whoever makes it again reads
-- what was spent. A hold that has expired meanwhile counts all the same.

-- include: _budget

local ID, MS = ARGV[2], tonumber(ARGV[3])
local HELD_NANO, HELD_TOKENS, NANO, TOKENS = ARGV[4], ARGV[5], ARGV[6], ARGV[7]

for at = 8, #ARGV, 5 do
  local counter = counter_of(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4]))
  if redis.call('EXISTS', counter) == 1 and not redis.call('ZSCORE', holds_of(counter), mark_of(ID)) then
    let_go(counter, member_of(ID, HELD_NANO, HELD_TOKENS), HELD_NANO, HELD_TOKENS)
    redis.call('HINCRBY', counter, 'nano', NANO)
    redis.call('HINCRBY', counter, 'tokens', TOKENS)
    hold_in(counter, mark_of(ID), 0, 0, NOW_MS + MS)
  end
end
return 1
