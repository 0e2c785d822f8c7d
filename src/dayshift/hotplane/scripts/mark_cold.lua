-- Say that lanes go on in the ledger.
-- KEYS  marker
-- ARGV  call; then for each lane: agent, priority, tenant, first seq that is in the ledger only
-- Promise: a boundary never moves up by this; an idle worker learns that there is something to refill.
-- include: _held

local at = 7
while ARGV[at] do
  local agent, priority, tenant, from_seq = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local lane = lane_of(agent, priority, tenant)
  local stands = number_of(COLD, lane)
  if stands == 0 or from_seq < stands then
    set_number(COLD, lane, from_seq)
  end
  note_thirst(agent, priority, tenant)
  alarmed[agent] = true
  at = at + 4
end
finish()
return 1
