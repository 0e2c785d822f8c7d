-- Take a worker's head out of a line: nobody of its own waits there any more.
-- KEYS  the prefix of all keys of limits
-- ARGV  line, the time in ms ('': the server's), head
-- Reply whether it stood there
-- Promise: whoever stands first now is told, if that is sooner than it knows.
-- include: _limit_accounts
-- include: _limit_line
-- include: _limit_held

read_heads()
local stood = heads[ARGV[3]] ~= nil
drop(ARGV[3])
sweep()
wake()
write_heads()
write_held()
write_accounts()
return stood and 1 or 0
