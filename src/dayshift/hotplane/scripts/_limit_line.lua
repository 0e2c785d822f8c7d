-- Who waits for a line's accounts, in which order, and how they are told.
--
-- Each worker registers the head of its own line only, one for each pool of credentials that it asks for. The order among heads: the
-- higher priority, within it the tenant that had least (virtual time), then the earlier arrival. A priority's point is worth
-- AGEING_MS of waiting: who has waited so long that it counts above all higher ones that wait goes first, the most aged of those before
-- the others. So a higher priority is never passed by a lower one that came later.
--
-- Nobody polls. A head is told when to ask again; it is told anew, by push, when that can be sooner. One that has not
-- asked SILENT_MS after the time it was told is dropped: its worker is dead or cut off, and registers again if it is not.
--
--   head   { id, worker, priority, arrival, tenant, told, credentials, amounts, at_first }; with `name`, `virtual` in memory

local AGEING_MS = 10000
local SILENT_MS = 1000
local SOONER_MS = 3
local LINE_LIFETIME_S = 3600
local MAX_TENANTS = 10000

local heads, n_heads = {}, 0
local virtual_now, tenants = 0, {}
local heads_changed = {}

local function drop(name)
  if heads[name] then
    heads[name] = nil
    n_heads = n_heads - 1
    redis.call('HDEL', LIMIT_HEADS .. LINE, name)
  end
end

local function read_heads()
  local flat = redis.call('HGETALL', LIMIT_HEADS .. LINE)
  for at = 1, #flat, 2 do
    local head = cmsgpack.unpack(flat[at + 1])
    head.name = flat[at]
    heads[head.name] = head
    n_heads = n_heads + 1
    if head.told + SILENT_MS < NOW then
      drop(head.name)
    end
  end
  someone_waits = n_heads > 0
end

local function keep_head(head)
  if not heads[head.name] then
    n_heads = n_heads + 1
  end
  heads[head.name] = head
  heads_changed[head.name] = true
  someone_waits = true
end

-- A tenant's virtual time: the service that it had, in milliseconds of the whole limit, over its weight.
local function virtual_of(tenant)
  local virtual = tenants[tenant]
  if not virtual then
    local known = redis.call('HMGET', LIMIT_TURNS .. LINE, 'v', 't:' .. tenant)
    virtual_now = math.max(virtual_now, tonumber(known[1]) or NOW)
    virtual = tonumber(known[2]) or 0
    tenants[tenant] = virtual
  end
  return math.max(virtual, virtual_now)
end

local function serve(ask, account)
  local cost = 0
  for kind, rate in pairs(account.pace.rate) do
    cost = math.max(cost, ask.amounts[kind] / rate)
  end
  local virtual = virtual_of(ask.tenant)
  virtual_now = math.max(virtual_now, virtual)
  tenants[ask.tenant] = virtual + cost / ask.weight
  local turns = LIMIT_TURNS .. LINE
  if redis.call('HLEN', turns) > MAX_TENANTS then
    redis.call('DEL', turns)
  end
  redis.call('HSET', turns, 'v', string.format('%.3f', virtual_now),
    't:' .. ask.tenant, string.format('%.3f', tenants[ask.tenant]))
  redis.call('EXPIRE', turns, LINE_LIFETIME_S)
end

local function class_of(head)
  return head.priority + math.floor(math.max(0, NOW - head.arrival) / AGEING_MS)
end

-- Which waiters have aged beyond every higher priority that waits: for each priority the class that must be exceeded.
local function bars_of(list)
  local highest = {}
  for _, head in ipairs(list) do
    highest[head.priority] = math.max(highest[head.priority] or -NEVER, class_of(head))
  end
  local bars, bar = {}, NEVER
  local seen = -NEVER
  for priority = 9, 0, -1 do
    if highest[priority] then
      bars[priority] = seen > -NEVER and seen or bar
      seen = math.max(seen, highest[priority])
    end
  end
  return bars
end

local function in_order(extra)
  local list = {}
  for _, head in pairs(heads) do
    if not (extra and head.name == extra.name) then
      list[#list + 1] = head
    end
  end
  list[#list + 1] = extra
  if #list < 2 then
    return list
  end
  local bars = bars_of(list)
  for _, head in ipairs(list) do
    local class = class_of(head)
    head.rank = class > bars[head.priority] and 1000 + class or head.priority
    head.virtual = head.rank < 1000 and virtual_of(head.tenant) or 0
  end
  table.sort(list, function(a, b)
    if a.rank ~= b.rank then
      return a.rank > b.rank
    elseif a.virtual ~= b.virtual then
      return a.virtual < b.virtual
    elseif a.arrival ~= b.arrival then
      return a.arrival < b.arrival
    end
    return a.name < b.name
  end)
  return list
end

-- Where a call would start soonest, of the credentials that `of` knows an account for.
local function soonest(ask, of)
  local best, found = NEVER, nil
  for _, credential in ipairs(ask.credentials) do
    local account = of(credential)
    if account then
      local start = earliest(account, ask.amounts, ask.at_first)
      if not found or start < best then
        best, found = start, credential
      end
    end
  end
  return best, found
end

-- The moment at which the earliest reservation lapses: a slot may be free then.
local function next_lapse()
  local first = redis.call('ZRANGE', LIMIT_DUE .. LINE, 0, 0, 'WITHSCORES')
  return math.max(NOW + 50, tonumber(first[2]) or NOW + SILENT_MS)
end

-- When and by which credential can `mine` start, given all who stand before it? Answers also the last of these.
local function standing(mine)
  local copies = {}
  local function of(credential)
    if copies[credential] == nil then
      local account = account_of(credential)
      copies[credential] = account and copy_of(account)
    end
    return copies[credential]
  end
  local wanted = {}
  for _, credential in ipairs(mine.credentials) do
    wanted[credential] = true
  end
  local before
  for _, head in ipairs(in_order(mine)) do
    if head == mine then
      break
    end
    local start, credential = soonest(head, of)
    for _, shared in ipairs(head.credentials) do
      before = wanted[shared] and head or before
    end
    if start == NEVER then
      for _, shared in ipairs(head.credentials) do
        copies[shared] = false
      end
    elseif credential then
      refill(copies[credential], start)
      take(copies[credential], head.amounts)
      count_there(copies[credential], head.at_first)
      copies[credential].open = copies[credential].open + 1
    end
  end
  local start, credential = soonest(mine, of)
  return start, credential, before
end

-- Tells whoever stands first, on each account, when that is sooner than it knows.
local function wake()
  if n_heads == 0 then
    return
  end
  local taken = {}
  local function free(credential)
    return not taken[credential] and account_of(credential)
  end
  for _, head in ipairs(in_order()) do
    local start = soonest(head, free)
    local moment = math.max(start, NOW)
    if moment < head.told - SOONER_MS then
      local after = string.format('%s %.3f', LINE, moment - NOW)
      redis.call('PUBLISH', LIMIT_CHANNEL .. head.worker, after) -- nobody there: it has its second to come back
      head.told = moment
      heads_changed[head.name] = true
    end
    for _, credential in ipairs(head.credentials) do
      taken[credential] = true
    end
  end
end

local function write_heads()
  for name in pairs(heads_changed) do
    local head = heads[name]
    if head then
      local packed = cmsgpack.pack({
        id = head.id, worker = head.worker, priority = head.priority, arrival = head.arrival, tenant = head.tenant,
        told = head.told, credentials = head.credentials, amounts = head.amounts,
        at_first = head.at_first })
      redis.call('HSET', LIMIT_HEADS .. LINE, name, packed)
      redis.call('EXPIRE', LIMIT_HEADS .. LINE, LINE_LIFETIME_S)
    end
  end
end
