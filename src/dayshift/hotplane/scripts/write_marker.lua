-- End a rebuild: from now on the plane answers under this epoch.
-- KEYS  marker
-- ARGV  call; channel to announce it on
-- Promise: a marker never goes back; a rebuild that was overtaken is told NOT_READY.
-- include: _epoch

local marker = tonumber(redis.call('GET', KEYS[1]))
if marker and marker > tonumber(EPOCH) then
  return redis.error_reply('NOT_READY epoch ' .. marker .. ' has overtaken ' .. EPOCH)
end
redis.call('SET', KEYS[1], EPOCH)
redis.call('PUBLISH', ARGV[7], 'epoch ' .. EPOCH)
return 1
