-- Which epoch's state this is, and whether it may be used.
--
-- Every script over state takes KEYS[1] = the marker, ARGV[1] = the caller's epoch, ARGV[2] = checked | rebuilding,
-- ARGV[3..6] = the bound of what is kept hot (see _cold.lua), and its own arguments from ARGV[7] on. Headers name these
-- six together `call`. It answers the error NOT_READY, having changed nothing, when the marker is absent or
-- names another epoch. Only a rebuild writes without a marker: it holds an epoch that nobody else was given.

local EPOCH = ARGV[1]

if ARGV[2] == 'checked' then
  local marker = redis.call('GET', KEYS[1])
  if marker ~= EPOCH then
    return redis.error_reply('NOT_READY it is at epoch ' .. (marker or 'none') .. ', the caller at ' .. EPOCH)
  end
end

local ROOT = STATE .. EPOCH .. ':'

local keys = {} -- name -> of -> key: a script asks for the same few over and over

local function key(name, of)
  of = of or ''
  local of_name = keys[name]
  if not of_name then
    of_name = {}
    keys[name] = of_name
  end
  local made = of_name[of]
  if not made then
    made = ROOT .. NAME[name] .. of
    of_name[of] = made
  end
  return made
end

local NOW_MS
do
  local time = redis.call('TIME')
  NOW_MS = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
