-- Reservations: what a call was granted, until it is settled, given back or lapsed.
--
--     granted --confirm--> held --settle / give back--> (gone)
--        | 1 s                | deadline, renewed while the call lasts
--        v                    v
--     returned             lapsed        both kept for TOMBSTONE_MS, as their worker may only have been frozen
--
-- granted    nobody knows yet that its worker heard the answer. Not confirmed in time: all of it goes back.
-- held       the call is under way. Not renewed in time: its worker is dead. Its place among the concurrent is free; what it
--            reserved stays used, as the provider may have served it.
-- returned   a confirmation that comes after all takes the amounts again, into debt if need be; so does a settlement.
-- lapsed     a renewal takes the place again, above the limit if need be; a settlement still settles the amounts.
--
-- A grant in hand is one whose call has yet to come: it is that until it is confirmed, given back or returned.
--
-- A record is gone once it is settled, so the repetition of a telling that was lost changes nothing.

local UNCONFIRMED_MS = 1000
local TOMBSTONE_MS = 600000
local HELD_LIFETIME_S = 8 * 86400 -- longer than the account's: a place that is taken must not outlive what frees it
local SWEPT_A_CALL = 32
local GRANTED, HELD, RETURNED, LAPSED = 1, 2, 3, 4

local function record_of(id)
  local packed = redis.call('HGET', LIMIT_HELD .. LINE, id)
  return packed and cmsgpack.unpack(packed)
end

local was_kept = false

local function keep(id, record, due)
  was_kept = true
  redis.call('HSET', LIMIT_HELD .. LINE, id, cmsgpack.pack(record))
  redis.call('ZADD', LIMIT_DUE .. LINE, string.format('%.3f', due), id)
end

local function forget(id)
  redis.call('HDEL', LIMIT_HELD .. LINE, id)
  redis.call('ZREM', LIMIT_DUE .. LINE, id)
end

-- A record is { state, credential, requests, tokens, input, output, first output, in hand, arrival at the provider }.
local function charge(record, sign)
  local account = account_of(record[2])
  if account then
    take(account, { sign * record[3], sign * record[4], sign * record[5], sign * record[6] })
    local at_first = at_first_of(record[3], record[5], record[7])
    count_there(account, { sign * at_first[1], sign * at_first[2], sign * at_first[3], sign * at_first[4] })
    dirty[record[2]] = true
  end
end

-- Takes a place among the concurrent calls, or frees it.
local function occupy(record, number)
  local account = account_of(record[2])
  if account then
    account.open = math.max(0, account.open + number)
    dirty[record[2]] = true
  end
end

-- Takes into the hand, or out of it: for its call, or to be charged back.
local function take_in_hand(record, is_in_hand)
  local account = (record[8] or false) ~= is_in_hand and account_of(record[2])
  record[8] = is_in_hand
  if account then
    local amounts = account.in_hand or { 0, 0, 0, 0 }
    for kind = 1, KINDS do
      amounts[kind] = math.max(0, amounts[kind] + (is_in_hand and 1 or -1) * record[2 + kind])
    end
    account.in_hand = amounts
    dirty[record[2]] = true
  end
end

local function lapse(id)
  local record = record_of(id)
  local state = record and record[1]
  if state == GRANTED then
    take_in_hand(record, false)
    charge(record, -1)
  end
  if state == GRANTED or state == HELD then
    occupy(record, -1)
    record[1] = state == GRANTED and RETURNED or LAPSED
    keep(id, record, NOW + TOMBSTONE_MS)
  else
    forget(id)
  end
end

-- Takes back what is due. Answers whether there was any.
local function sweep()
  local ids = redis.call('ZRANGEBYSCORE', LIMIT_DUE .. LINE, '-inf', string.format('%.3f', NOW), 'LIMIT', 0, SWEPT_A_CALL)
  for _, id in ipairs(ids) do
    lapse(id)
  end
  return #ids > 0
end

local function write_held()
  if was_kept then
    redis.call('EXPIRE', LIMIT_HELD .. LINE, HELD_LIFETIME_S)
    redis.call('EXPIRE', LIMIT_DUE .. LINE, HELD_LIFETIME_S)
  end
end
