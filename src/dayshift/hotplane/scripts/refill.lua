-- Bring the next piece of a lane's cold tail in.
-- KEYS  marker
-- ARGV  call; agent, priority, tenant; token; first seq left in the ledger (-1: none); places (6 each)
-- Reply 1, or 0 when the right to refill this lane has passed to another (nothing was changed)
-- Promise: after it every task of the lane is hot, held, or at or behind the boundary, also those accepted meanwhile.
-- include: _held

local agent, priority, tenant, token, more_from = ARGV[7], ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[11])
local lane = lane_of(agent, priority, tenant)
local at = 12
if redis.call('HGET', key('refill'), lane) ~= token then
  return 0
end
redis.call('HDEL', key('refill'), lane)
redis.call('ZREM', key('thirst', agent), priority .. ':' .. tenant)
while ARGV[at] do
  announce(place_at(at), true)
  at = at + 6
end
local refused = number_of(REFUSED, lane)
local boundary = more_from > 0 and more_from or 0
if refused > 0 and (boundary == 0 or refused < boundary) then
  boundary = refused
end
set_number(COLD, lane, boundary)
set_number(REFUSED, lane, 0)
note_thirst(agent, priority, tenant)
finish()
return 1
