-- The accounts of a line: what each credential may use, in up to four buckets and a number of concurrent calls.
--
-- Pace. In a window w a limit of L a minute lets N = L * w / 60 through. The bucket holds b = max(1, 1.5 % of N) and refills
-- at r = (N - b) / w, so whatever moment a window begins at, b + r * w = N is the most that it admits. (Where N is below two,
-- r is half of N / w: one unit at a time, and half as often.) A call is admitted when the bucket holds the whole of it,
-- or is full: only a call larger than the bucket leaves a debt, of what it is larger by. So a provider whose
-- own bucket is at least as deep as ours, and which began as full, never sees a call that it must refuse.
--
-- Tokens that were reserved and not used come back, also above b while anyone waits: they are left at the provider as well.
-- When nobody waits the balance is b at most.
--
-- Others may use the same key. An answer's headers say what was left at the provider as its call came in (`left`), however long it
-- took; so each reservation keeps when that was, and what the provider had counted of ours until then. What is left is compared
-- with what should be by what we used since it was last told; the difference is what others use. It is learned slowly (OTHERS_KNOWN_MS), as calls under way disturb it, and what is less than DOUBT of the
-- limit may be nobody. Their rate is taken from ours in so far as the provider's bucket runs low: while it is nearly full, nobody
-- goes short. Once others are NOTICED, a call also waits until the provider has twice what it will count, as one of
-- theirs may come in between. Where no headers tell, each 429 within 20 s of the last counts as 1 % more used by others, which is
-- forgotten over a minute.
--
-- Grants in hand. While nobody waits, a worker may take grants for calls that have yet to come (limit_reserve.lua). What is in hand is
-- no longer in the bucket and may start at any moment, so the bucket holds that much less meanwhile: both together are b at most, and
-- no window admits more than before.
--
--   account   { at, open, not_before, shape, in_hand = amounts, [1..4] = { balance, others, left, left_at, used, depth, counted, left_counted } }
--             at: plane ms of the balances; it may lie ahead by the horizon, when a call was granted ahead of its time
--             used: what the provider must have counted of ours since that was left
--             counted, left_counted: what it has counted of ours in all, until now and until that was left
--   shape     the limits as the newest caller has them: requests, tokens, input, output a minute, concurrent, window

local LIFETIME_MS = 7 * 86400 * 1000
local SHARE = 0.015
local LATE_MS = 30
local UNSEEN_DEPTH = 1.5
local MARGIN, NOTICED, DOUBT = 0.2, 0.1, 0.05
local FRESH_DEPTHS = 2
local EPSILON = 1e-6
local KINDS, REQUESTS = 4, 1
local NEVER = math.huge
local BALANCE, OTHERS, LEFT, LEFT_AT, USED, DEPTH, COUNTED, LEFT_COUNTED = 1, 2, 3, 4, 5, 6, 7, 8
local OTHERS_KNOWN_MS, OTHERS_FORGOTTEN_MS, HEADERS_AGE_MS = 16000, 60000, 60000

local LINE = ARGV[1]
local NOW = tonumber(ARGV[2]) -- tests bring their own clock
if not NOW then
  local time = redis.call('TIME')
  NOW = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
end

local accounts, dirty = {}, {}
local someone_waits = false -- set by _limit_line.lua

local function pace_of(shape)
  local pace = { burst = {}, rate = {}, limit = {} }
  local numbers = {}
  for number in string.gmatch(shape, '%S+') do
    numbers[#numbers + 1] = tonumber(number)
  end
  local window = numbers[6]
  for kind = 1, KINDS do
    local limit = numbers[kind]
    if limit > 0 then
      local most = limit * window / 60
      local burst = math.max(1, SHARE * most)
      pace.limit[kind] = limit / 60000
      pace.burst[kind] = burst
      pace.rate[kind] = math.max(most - burst, most / 2) / window / 1000
    end
  end
  pace.concurrent = numbers[5] > 0 and numbers[5] or NEVER
  return pace
end

-- Whether what was left says something of what is left now: within some times of what a provider's bucket takes to fill from empty.
-- After that what is learned of others' rate says more, as an error of that adds up.
local function is_fresh(bucket, limit)
  return NOW - bucket[LEFT_AT] < math.min(HEADERS_AGE_MS, FRESH_DEPTHS * bucket[DEPTH] / limit)
end

-- What of our rate others use at present: as much of it as the provider's bucket is low.
local function others_rate(bucket, rate, limit)
  local others = bucket[OTHERS]
  if others <= 0 then
    return 0
  end
  local depth = bucket[DEPTH]
  if depth > 0 and NOW - bucket[LEFT_AT] < HEADERS_AGE_MS then
    local lowness = is_fresh(bucket, limit) and (0.5 * depth - bucket[LEFT]) / (0.25 * depth) or 1
    others = (others - DOUBT * limit) * math.max(0, math.min(1, lowness))
  end
  return math.max(0, math.min(others, 0.95 * rate))
end

-- What only 429s have told of others is forgotten.
local function forget_others(account)
  for kind in pairs(account.pace.burst) do
    local bucket = account[kind]
    if bucket[OTHERS] ~= 0 and NOW - bucket[LEFT_AT] >= HEADERS_AGE_MS then
      bucket[OTHERS] = bucket[OTHERS] * math.exp(-math.max(0, NOW - account.at) / OTHERS_FORGOTTEN_MS)
    end
  end
end

local function set_rates(account)
  account.pace.now = {}
  for kind, rate in pairs(account.pace.rate) do
    account.pace.now[kind] = rate - others_rate(account[kind], rate, account.pace.limit[kind])
  end
end

-- How much a bucket may hold now.
local function room_of(account, kind)
  return math.max(0, account.pace.burst[kind] - (account.in_hand and account.in_hand[kind] or 0))
end

-- Brings the balances up to a moment. What refunds have lifted above the bucket stays while somebody waits.
local function refill(account, moment)
  local passed = math.max(0, moment - account.at)
  for kind in pairs(account.pace.burst) do
    local bucket, room = account[kind], room_of(account, kind)
    local most = someone_waits and math.max(room, bucket[BALANCE]) or room
    bucket[BALANCE] = math.min(most, bucket[BALANCE] + passed * account.pace.now[kind])
  end
  account.at = math.max(account.at, moment)
end

-- Under new limits the balance stays; what was heard of the provider's bucket was heard of another one.
local function shaped(account, shape)
  account.shape, account.pace = shape, pace_of(shape)
  for kind = 1, KINDS do
    if not account.pace.limit[kind] then
      account[kind] = false
    else
      account[kind] = { account[kind] and account[kind][BALANCE] or 0, 0, 0, 0, 0, 0, 0, 0 }
    end
  end
end

local function account_of(credential, shape)
  local account = accounts[credential]
  if account == nil then
    local packed = redis.call('GET', LIMIT_ACCOUNT .. LINE .. ':' .. credential)
    if not packed and not shape then
      accounts[credential] = false
      return false
    end
    account = packed and cmsgpack.unpack(packed) or { at = NOW, open = 0, not_before = 0, shape = '' }
    local is_new_shape = shape and shape ~= account.shape
    account.pace = pace_of(account.shape ~= '' and account.shape or shape)
    if account.shape ~= '' then
      forget_others(account)
      set_rates(account)
      refill(account, NOW)
    end
    if is_new_shape then
      shaped(account, shape)
      set_rates(account)
      refill(account, NOW)
      dirty[credential] = true
    end
    accounts[credential] = account
  end
  return account
end

-- When the provider's own bucket will hold what it counts as a call comes in, by what it last said and what was used since.
local function provider_has(bucket, limit, amount)
  if not is_fresh(bucket, limit) then
    return 0
  end
  local depth = bucket[DEPTH]
  local needed = amount + LATE_MS * limit -- a call on its way there loses what a full bucket would have gained
  if bucket[OTHERS] >= NOTICED * limit then -- they come in between
    needed = math.min(2 * amount + MARGIN * depth, 0.75 * depth)
  end
  local rate = math.max(0.05 * limit, limit - math.max(0, bucket[OTHERS]))
  return bucket[LEFT_AT] + (math.min(needed, 0.9 * depth) + bucket[USED] - bucket[LEFT]) / rate
end

-- When a call of these amounts can start on an account, if nobody else takes from it.
local function earliest(account, amounts, at_first)
  if account.open >= account.pace.concurrent then
    return NEVER
  end
  local wait, from = 0, account.not_before
  for kind, burst in pairs(account.pace.burst) do
    if amounts[kind] > 0 then
      local missing = math.min(amounts[kind], burst) - account[kind][BALANCE]
      if missing > EPSILON then
        wait = math.max(wait, missing / account.pace.now[kind])
      end
    end
    if at_first[kind] > 0 then
      from = math.max(from, provider_has(account[kind], account.pace.limit[kind], at_first[kind]))
    end
  end
  return math.max(account.at + wait, from)
end

-- Negative amounts give back. Places for requests never come back above the bucket: few do, and their window stays exact.
local function take(account, amounts)
  for kind in pairs(account.pace.burst) do
    local balance = account[kind][BALANCE] - amounts[kind]
    account[kind][BALANCE] = (someone_waits and kind ~= REQUESTS) and balance or math.min(balance, room_of(account, kind))
  end
end

-- What is used of what the provider had: never so little that its bucket would hold more than it can. How much that is nobody
-- says: as something is always under way when it is told what is left, it is more than was ever seen.
local function used_there(bucket, limit)
  local full = bucket[LEFT] + limit * (NOW - bucket[LEFT_AT]) - UNSEEN_DEPTH * bucket[DEPTH]
  return math.max(bucket[USED], full)
end

-- What the provider itself counts: a call's first when it comes in, the rest when it is over.
local function count_there(account, amounts)
  for kind, limit in pairs(account.pace.limit) do
    local bucket = account[kind]
    bucket[COUNTED] = bucket[COUNTED] + amounts[kind]
    if bucket[DEPTH] > 0 then
      bucket[USED] = used_there(bucket, limit) + amounts[kind]
      bucket[USED] = used_there(bucket, limit)
    end
  end
end

-- What a provider counts of a call when it comes in: of the output what the call itself allows, if it says so.
local function at_first_of(requests, input, first_output)
  return { requests, input + first_output, input, first_output }
end

-- When a call comes in at the provider, and what that has counted of ours by then.
local function arrival_at(account, moment)
  local arrival = { at = moment }
  for kind in pairs(account.pace.limit) do
    arrival[kind] = account[kind][COUNTED]
  end
  return arrival
end

local function copy_of(account)
  local copy = { at = account.at, open = account.open, not_before = account.not_before, pace = account.pace }
  copy.in_hand = account.in_hand
  for kind in pairs(account.pace.burst) do
    copy[kind] = { unpack(account[kind]) }
  end
  return copy
end

local function write_accounts()
  for credential in pairs(dirty) do
    local account = accounts[credential]
    local pace = account.pace
    account.pace = nil
    redis.call(
      'SET', LIMIT_ACCOUNT .. LINE .. ':' .. credential, cmsgpack.pack(account), 'PX', LIFETIME_MS)
    account.pace = pace
  end
end
