-- Take in what became of reservations, and what the provider says of its own buckets; then tell who may start sooner.
-- KEYS  the prefix of all keys of limits
-- ARGV  line, the time in ms ('': the server's); then fours:
--       c RESERVATION ms ''          its worker has it, or still has it: it lapses in so many ms
--       s RESERVATION input output   the call is over and used so many tokens (-1: what was reserved)
--       b RESERVATION '' ''          the call was never sent: all goes back
--       f RESERVATION ms ''          the provider refused it (429): nobody starts within ms
--       h CREDENTIAL remaining limit the provider's own figures: four numbers each, -1 where it gave none
-- Reply how many were taken in
-- Promise: a repetition changes nothing; in whatever order these and the sweep come, a reservation ends as what was really used.
-- include: _limit_accounts
-- include: _limit_line
-- include: _limit_held

local BUMP, BUMP_MS, MOST_REFUSED_MS = 0.02, 1000, 120000
local LEAST_APART_MS = 200

local function confirm(id, ms)
  local record = record_of(id)
  if not record then
    return false
  end
  if record[1] == RETURNED then
    charge(record, 1)
  end
  if record[1] == RETURNED or record[1] == LAPSED then
    occupy(record, 1)
  end
  record[1] = HELD
  keep(id, record, NOW + tonumber(ms))
  return true
end

-- Ends a reservation: what was used of each bucket replaces what was reserved.
local function finish(id, record, used)
  local state = record[1]
  if state ~= RETURNED then
    charge(record, -1)
  end
  charge({ HELD, record[2], used[1], used[2], used[3], used[4] }, 1)
  if state == GRANTED or state == HELD then
    occupy(record, -1)
  end
  forget(id)
end

local function settle(id, input, output)
  local record = record_of(id)
  if not record then
    return false
  end
  input, output = tonumber(input), tonumber(output)
  input = input < 0 and record[5] or input
  output = output < 0 and record[6] or output
  finish(id, record, { record[3], input + output, input, output })
  return true
end

local function give_back(id)
  local record = record_of(id)
  if not record then
    return false
  end
  finish(id, record, { 0, 0, 0, 0 })
  return true
end

-- The provider has less left than we thought: the balance is none, and others use more.
local function refused(id, ms)
  local record = record_of(id)
  if not record then
    return false
  end
  finish(id, record, { record[3], 0, 0, 0 })
  local account = account_of(record[2])
  if account then
    account.not_before = math.max(account.not_before, NOW + math.min(tonumber(ms), MOST_REFUSED_MS))
    local is_new = NOW - (account.bumped or 0) >= BUMP_MS
    account.bumped = is_new and NOW or account.bumped
    for kind, limit in pairs(account.pace.limit) do
      local bucket = account[kind]
      bucket[BALANCE] = math.min(bucket[BALANCE], 0)
      bucket[OTHERS] = is_new and bucket[OTHERS] + BUMP * limit or bucket[OTHERS]
    end
  end
  return true
end

local function hear_bucket(bucket, limit, left)
  local passed = NOW - bucket[LEFT_AT]
  if passed < LEAST_APART_MS then
    return
  end
  if passed < HEADERS_AGE_MS then
    local expected = math.min(bucket[DEPTH], bucket[LEFT] + limit * passed - bucket[USED])
    local weight = 1 - math.exp(-passed / OTHERS_KNOWN_MS)
    local others = bucket[OTHERS] + weight * ((expected - left) / passed - bucket[OTHERS])
    bucket[OTHERS] = math.max(-0.05 * limit, math.min(0.95 * limit, others))
  end
  bucket[LEFT], bucket[LEFT_AT], bucket[USED] = left, NOW, 0
  bucket[DEPTH] = math.max(bucket[DEPTH], left)
  bucket[BALANCE] = math.min(bucket[BALANCE], left)
end

local function numbers_of(text)
  local numbers = {}
  for number in string.gmatch(text, '%S+') do
    numbers[#numbers + 1] = tonumber(number)
  end
  return numbers
end

-- A limit far from ours is another one: of a day, or of another model.
local function hear(credential, remaining, limits)
  local account = account_of(credential)
  if not account then
    return false
  end
  remaining, limits = numbers_of(remaining), numbers_of(limits)
  for kind, limit in pairs(account.pace.limit) do
    local ratio = limits[kind] / (limit * 60000)
    if remaining[kind] >= 0 and (limits[kind] < 0 or (ratio >= 0.5 and ratio <= 2)) then
      hear_bucket(account[kind], limit, remaining[kind])
    end
  end
  dirty[credential] = true
  return true
end

local TELLINGS = { c = confirm, s = settle, b = give_back, f = refused, h = hear }

read_heads()
local taken_in = 0
for at = 3, #ARGV, 4 do
  if TELLINGS[ARGV[at]](ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]) then
    taken_in = taken_in + 1
  end
end
sweep()
wake()
write_heads()
write_accounts()
return taken_in
