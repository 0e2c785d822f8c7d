-- Reserve for calls of one worker's line, in its order, until one must wait; that one becomes the worker's head.
-- KEYS  the prefix of all keys of limits
-- ARGV  line, the time in ms ('': the server's), head, worker, shape, horizon ms, that of calls larger than a bucket; number of credentials, each credential;
--       then for each call: id, tenant, weight, priority, ms since its arrival, longest wait ms (-1 none), input, output, first output,
--       1 for a grant in hand
-- Reply for each call that was looked at: kind, credential's number, us, virtual time of the tenant ('' where nobody competes)
--       kind g: granted, may start in so many us · b: busy, would wait us · w: waits, ask again in us; none behind it ·
--       p: like w, but for a free place among the concurrent, and nobody knows when there is one
-- Promise: all or nothing over the buckets and the concurrent calls; only who stands first among those that share an account is granted;
-- a grant takes the account at the moment that it may start, at most the horizon ahead; one that is not confirmed within a
-- second goes back; a grant in hand only while nobody waits and half of every bucket stays for others; the wait is exact unless somebody more urgent arrives, or room is made, which is pushed.
-- include: _limit_accounts
-- include: _limit_line
-- include: _limit_held

local HEAD, WORKER, SHAPE, HORIZON_MS, FAR_MS = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local N_CREDENTIALS = tonumber(ARGV[8])
local FIELDS = 10
local A_MOMENT_MS = 10

local credentials, number_of = {}, {}
for number = 1, N_CREDENTIALS do
  credentials[number] = ARGV[8 + number]
  number_of[ARGV[8 + number]] = number
end

-- A call that asks again keeps its arrival: what it waited, seen by two clocks, would let two of one moment pass each other.
local function arrival_of(id, waited_ms, was_head)
  return was_head and was_head.id == id and was_head.arrival or NOW - waited_ms
end

local function ask_at(at, was_head)
  local input, output, first_output = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7]), tonumber(ARGV[at + 8])
  return {
    name = HEAD, worker = WORKER, id = ARGV[at], tenant = ARGV[at + 1], weight = tonumber(ARGV[at + 2]),
    priority = tonumber(ARGV[at + 3]), arrival = arrival_of(ARGV[at], tonumber(ARGV[at + 4]), was_head),
    longest = tonumber(ARGV[at + 5]),
    amounts = { 1, input + output, input, output }, at_first = at_first_of(1, input, first_output),
    credentials = credentials, first_output = first_output, is_in_hand = ARGV[at + 9] == '1',
  }
end

local function grant(ask, start, credential)
  refill(accounts[credential], start)
  local amounts = ask.amounts
  local record = { GRANTED, credential, amounts[1], amounts[2], amounts[3], amounts[4], ask.first_output, false }
  charge(record, 1)
  record[9] = arrival_at(accounts[credential], start)
  occupy(record, 1)
  take_in_hand(record, ask.is_in_hand)
  keep(ask.id, record, start + UNCONFIRMED_MS)
end

-- Whether a grant for a call that has yet to come takes nothing that anybody may want soon.
local function is_spare(ask, start, account)
  if n_heads > 0 or start > NOW or account.open >= account.pace.concurrent / 2 then
    return false
  end
  for kind, burst in pairs(account.pace.burst) do
    if account[kind][BALANCE] - ask.amounts[kind] < burst / 2 then
      return false
    end
  end
  return true
end

-- A call larger than a bucket can start only when that is full, and whatever refills later is lost: it is granted further ahead. Others are
-- granted shortly before, as what ends meanwhile may have used more than it had reserved.
local function horizon_of(ask)
  for kind, burst in pairs(accounts[credentials[1]].pace.burst) do
    if ask.amounts[kind] > burst then
      return FAR_MS
    end
  end
  return HORIZON_MS
end

-- When a call that must wait is to ask again.
local function told_of(start, before)
  if start == NEVER then
    return next_lapse()
  elseif not before then
    return start
  elseif before.told < NOW then
    return math.max(start, before.told + SILENT_MS + 1)
  end
  return math.max(start, NOW + A_MOMENT_MS)
end

read_heads()
local was_head = heads[HEAD]
if was_head then
  heads[HEAD] = nil
  n_heads = n_heads - 1
end
for _, credential in ipairs(credentials) do
  account_of(credential, SHAPE)
end
local was_swept = sweep()
local competes = n_heads > 0 or was_head ~= nil

local reply = {}
local waits
for at = 9 + N_CREDENTIALS, #ARGV, FIELDS do
  local ask = ask_at(at, was_head)
  local start, credential, before
  if n_heads > 0 then
    start, credential, before = standing(ask)
  else
    start, credential = soonest(ask, account_of)
  end
  local kind, wait
  if ask.is_in_hand then
    kind, wait = 'b', 0
    if is_spare(ask, start, accounts[credential]) then
      kind = 'g'
      grant(ask, start, credential)
    end
  elseif not before and start - NOW <= horizon_of(ask) and (ask.longest < 0 or start - NOW <= ask.longest) then
    kind, wait = 'g', start - NOW
    grant(ask, start, credential)
    if competes then
      serve(ask, accounts[credential])
    end
  else
    local told = told_of(start, before)
    wait = told - NOW
    if ask.longest >= 0 and wait > ask.longest and (start ~= NEVER or ask.longest == 0) then
      kind = 'b'
    else
      kind, waits = start == NEVER and 'p' or 'w', true
      ask.told = told
      keep_head(ask)
    end
  end
  local virtual = competes and string.format('%.3f', tenants[ask.tenant] or 0) or ''
  reply[#reply + 1] = kind
  reply[#reply + 1] = credential and number_of[credential] or 0
  reply[#reply + 1] = math.ceil(math.max(0, wait) * 1000)
  reply[#reply + 1] = virtual
  if waits then
    break
  end
  competes = true
end
if was_head and not waits then
  redis.call('HDEL', LIMIT_HEADS .. LINE, HEAD)
end
wake()
write_heads()
write_held()
write_accounts()
return reply
