-- Announce tasks that the ledger has queued.
-- KEYS  marker
-- ARGV  call; then for each task: id, agent, priority, tenant, seq, due ms
-- Reply a word for each: ready | delayed | held (a worker keeps it) | cold (left in the ledger, comes with a refill)
-- Promise: repeating changes nothing more; of two words about a task the later one holds; an idle worker is woken.
-- include: _held

local at = 7
local words = {}
while ARGV[at] do
  table.insert(words, announce(place_at(at), false))
  at = at + 6
end
finish()
return words
