-- KEYS  marker
-- ARGV  call; lease key
-- Reply 1 when the lease has run out, else 0
-- Promise: answers only when the plane is ready, as a plane that was lost knows no leases.
-- include: _epoch

return 1 - redis.call('EXISTS', ARGV[7])
