-- During a rebuild: note which worker holds which task.
-- KEYS  marker
-- ARGV  call; then for each: worker, id, agent, priority, tenant, seq, due ms
-- Promise: repeating changes nothing more. Nothing is charged for them.
-- include: _held

for at = 7, #ARGV, 7 do
  local place = place_at(at + 1)
  local task = task_of(place.id)
  if not (task and task.state == 'held') then
    if task then
      take_out(task)
    end
    write_task(place, 'held')
    hold(ARGV[at], place, 0, 1)
  end
end
finish()
return 1
