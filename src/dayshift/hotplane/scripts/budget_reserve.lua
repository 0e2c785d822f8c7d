-- Hold an amount against all budgets that apply, or against none.
-- KEYS  the prefix of all keys
-- ARGV  clock (0: the plane's), a hold's id ('': only look), ms until it expires unrenewed, nano usd, tokens; then for each line: kind,
--       tenant, name, period, limit of nano usd and of tokens (-1: none), and, where the caller has read what was spent: since
--       which second, nano usd, tokens ('', 0, 0: it has not)
-- Reply held, the start of each line's period | missing, then index and start of each line whose sum must be read first |
--       spent or busy, index of the line, usd or tokens, spent, held, when the period ends (seconds; 0: never)
-- Promise: what is spent and held never exceeds a limit by what is held here; nothing is changed unless all is held, but for sums that
-- were missing or behind the ledger's. `busy`: it would fit if what others hold came to nothing. A hold that is there already is held.

-- include: _budget

local ID, MS, NANO, TOKENS = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local WIDTH = 9

-- The ledger's sum makes a counter, or corrects one that some settlement has not reached.
local function learn(counter, period, finish, nano, tokens)
  if redis.call('EXISTS', counter) == 0 then
    redis.call('DEL', holds_of(counter))
    redis.call('HSET', counter, 'nano', nano, 'tokens', tokens, 'held_nano', 0, 'held_tokens', 0)
    keep(counter, period, finish)
    return
  end
  for field, sum in pairs({ nano = nano, tokens = tokens }) do
    if tonumber(sum) > tonumber(redis.call('HGET', counter, field)) then
      redis.call('HSET', counter, field, sum)
    end
  end
end

local function line_at(at)
  local kind, tenant, name, period = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local start, finish = bounds_of(period)
  local counter = counter_of(kind, tenant, name, period, start)
  if ARGV[at + 6] == whole(start) then
    learn(counter, period, finish, ARGV[at + 7], ARGV[at + 8])
  end
  prune(counter)
  local numbers = redis.call('HMGET', counter, 'nano', 'tokens', 'held_nano', 'held_tokens')
  return {
    counter = counter, period = period, start = start, finish = finish, is_missing = not numbers[1],
    usd = { limit = tonumber(ARGV[at + 4]), spent = tonumber(numbers[1]), held = tonumber(numbers[3]), need = tonumber(NANO) },
    tokens = { limit = tonumber(ARGV[at + 5]), spent = tonumber(numbers[2]), held = tonumber(numbers[4]), need = tonumber(TOKENS) },
  }
end

local lines, starts, missing = {}, { 'held' }, { 'missing' }
for at = 6, #ARGV, WIDTH do
  local line = line_at(at)
  lines[#lines + 1] = line
  starts[#starts + 1] = whole(line.start)
  if line.is_missing then
    missing[#missing + 1] = #lines
    missing[#missing + 1] = whole(line.start)
  end
end
if #missing > 1 then
  return missing
end
if #lines > 0 and ID ~= '' and redis.call('ZSCORE', holds_of(lines[1].counter), member_of(ID, NANO, TOKENS)) then
  return starts
end

local busy
for index, line in ipairs(lines) do
  for _, unit in ipairs({ 'usd', 'tokens' }) do
    local of = line[unit]
    if of.limit >= 0 and of.spent + of.held + of.need > of.limit then
      local word = of.spent + of.need > of.limit and 'spent' or 'busy'
      local refusal = { word, index, unit, whole(of.spent), whole(of.held), whole(line.finish) }
      if word == 'spent' then
        return refusal
      end
      busy = busy or refusal
    end
  end
end
if busy then
  return busy
end
if ID ~= '' then
  for _, line in ipairs(lines) do
    hold_in(line.counter, member_of(ID, NANO, TOKENS), NANO, TOKENS, NOW_MS + MS)
    if line.period == 'ever' then
      keep(line.counter, line.period, line.finish)
    end
  end
end
return starts
