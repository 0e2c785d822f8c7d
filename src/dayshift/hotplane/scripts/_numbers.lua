-- Numbers in hashes, read once and written once a call: number_of, set_number, add; finish() writes them.
-- 17 significant digits keep a double exactly; zero is the same as absent.
-- Lua's unpack fails beyond some thousand values, so a hash with more changes than that is written in pieces.

local MAX_VALUES = 2000 -- even: a piece never parts a field from its number

local known, changed = {}, {}

local function exact(number)
  return string.format('%.17g', number)
end

local function number_of(hash, field)
  local fields = known[hash]
  if not fields then
    fields = {}
    known[hash] = fields
  end
  local number = fields[field]
  if not number then
    number = tonumber(redis.call('HGET', hash, field)) or 0
    fields[field] = number
  end
  return number
end

local function set_number(hash, field, number)
  known[hash] = known[hash] or {}
  known[hash][field] = number
  changed[hash] = changed[hash] or {}
  changed[hash][field] = true
end

local function add(hash, field, number)
  set_number(hash, field, number_of(hash, field) + number)
end

local function call_in_pieces(command, hash, values)
  for from = 1, #values, MAX_VALUES do
    redis.call(command, hash, unpack(values, from, math.min(from + MAX_VALUES - 1, #values)))
  end
end

local function write_numbers()
  for hash, fields in pairs(changed) do
    local set, gone = {}, {}
    for field in pairs(fields) do
      local number = known[hash][field]
      if number == 0 then
        gone[#gone + 1] = field
      else
        set[#set + 1] = field
        set[#set + 1] = exact(number)
      end
    end
    call_in_pieces('HSET', hash, set)
    call_in_pieces('HDEL', hash, gone)
  end
  changed = {}
end
