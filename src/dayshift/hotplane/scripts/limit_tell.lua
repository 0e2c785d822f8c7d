-- Take in what became of reservations, and what the provider says of its own buckets; then tell who may start sooner.
-- KEYS  the prefix of all keys of limits
-- ARGV  line, the time in ms ('': the server's); then fours:
--       c RESERVATION ms ''          its worker has it, or still has it: it lapses in so many ms
--       s RESERVATION input output   the call is over and used so many tokens (-1: what was reserved)
--       b RESERVATION '' ''          the call was never sent: all goes back
--       f RESERVATION ms ''          the provider refused it (429): nobody starts within ms
--       h RESERVATION remaining limit  what the headers of its answer say: four numbers each, -1 where nothing
-- Reply how many were taken in
-- Promise: a repetition changes nothing; in whatever order these and the sweep come, a reservation ends as what was really used.
-- include: _limit_accounts
-- include: _limit_line
-- include: _limit_held

local BUMP, MOST_BUMPS, BUMP_MS, ROW_MS, MOST_REFUSED_MS = 0.01, 6, 1000, 20000, 120000
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
  if record[8] then -- its call has only now begun
    record[9] = arrival_at(account_of(record[2]), NOW)
  end
  take_in_hand(record, false)
  record[1] = HELD
  keep(id, record, NOW + tonumber(ms))
  return true
end

-- Compares what was left as a call came in with what should have been.
local function hear_bucket(bucket, limit, left, at, counted)
  local passed = at - bucket[LEFT_AT]
  bucket[DEPTH] = math.max(bucket[DEPTH], left)
  if passed < HEADERS_AGE_MS then
    local expected = bucket[LEFT] + limit * passed - (counted - bucket[LEFT_COUNTED])
    expected = math.min(expected, UNSEEN_DEPTH * bucket[DEPTH])
    if left <= 0 then -- none, or less: providers do not tell a debt
      left = math.max(-60000 * limit, math.min(left, expected))
    end
    local others = bucket[OTHERS] + (1 - math.exp(-passed / OTHERS_KNOWN_MS)) * ((expected - left) / passed - bucket[OTHERS])
    bucket[OTHERS] = math.max(-0.05 * limit, math.min(0.95 * limit, others))
  end
  bucket[LEFT], bucket[LEFT_AT], bucket[LEFT_COUNTED] = left, at, counted
  bucket[USED] = bucket[COUNTED] - counted
  bucket[USED] = used_there(bucket, limit)
end

-- Ends a reservation: what was used of each bucket replaces what was reserved of it, in one step.
local function finish(id, record, used)
  local account, state = account_of(record[2]), record[1]
  take_in_hand(record, false)
  if account then
    local was_charged = state ~= RETURNED and 1 or 0
    local at_first = at_first_of(record[3], record[5], record[7])
    local more, more_there = {}, {}
    for kind = 1, KINDS do
      more[kind] = used[kind] - was_charged * record[2 + kind]
      more_there[kind] = used[kind] - was_charged * at_first[kind]
    end
    take(account, more)
    count_there(account, more_there)
    dirty[record[2]] = true
  end
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
    local since = NOW - (account.refused_at or 0)
    local is_new = since >= BUMP_MS
    if is_new then
      account.in_a_row = since < ROW_MS and math.min(MOST_BUMPS, account.in_a_row + 1) or 1
      account.refused_at = NOW
    end
    for kind, limit in pairs(account.pace.limit) do
      local bucket = account[kind]
      bucket[BALANCE] = math.min(bucket[BALANCE], 0)
      bucket[OTHERS] = is_new and bucket[OTHERS] + BUMP * account.in_a_row * limit or bucket[OTHERS]
    end
  end
  return true
end

local function numbers_of(text)
  local numbers = {}
  for number in string.gmatch(text, '%S+') do
    numbers[#numbers + 1] = tonumber(number)
  end
  return numbers
end

-- A limit far from ours is another one: of a day, or of another model.
local function hear(id, remaining, limits)
  local record = record_of(id)
  local account = record and account_of(record[2])
  if not account then
    return false
  end
  local arrival = record[9] or arrival_at(account, NOW)
  if arrival.at - (account.heard_at or 0) < LEAST_APART_MS then
    return false
  end
  remaining, limits = numbers_of(remaining), numbers_of(limits)
  for kind, limit in pairs(account.pace.limit) do
    local ratio = limits[kind] / (limit * 60000)
    if arrival[kind] and remaining[kind] >= 0 and (limits[kind] < 0 or (ratio >= 0.5 and ratio <= 2)) then
      hear_bucket(account[kind], limit, remaining[kind], arrival.at, arrival[kind])
    end
  end
  account.heard_at = arrival.at
  dirty[record[2]] = true
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
write_held()
write_accounts()
return taken_in
