-- Counts of a sliding window, in slices that are forgotten one by one: fields of a hash, a letter and the slice's number.
--
-- NOW_US is the caller's clock in microseconds if it says one (a test's), else the plane's.

local SLICES = 20

local function clock_us(said)
  if said ~= '0' then
    return tonumber(said)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local NOW_US = clock_us(ARGV[1])
local NOW_MS = math.floor(NOW_US / 1000)

local function slice_of(window_ms)
  return math.floor(NOW_MS / (window_ms / SLICES))
end

-- What each letter has of the window, by the age of its slices (0: the one that runs). What is older goes, and what a window of
-- another width has left.
local function counted(hash, window_ms)
  local now, found, gone = slice_of(window_ms), {}, {}
  local flat = redis.call('HGETALL', hash)
  for at = 1, #flat, 2 do
    local letter, slice = string.match(flat[at], '^(%l)(%d+)$')
    if letter then
      slice = tonumber(slice)
      if slice > now or slice <= now - SLICES then
        gone[#gone + 1] = flat[at]
      else
        found[letter] = found[letter] or {}
        found[letter][now - slice] = tonumber(flat[at + 1])
      end
    end
  end
  if #gone > 0 then
    redis.call('HDEL', hash, unpack(gone))
  end
  return found
end

local function sum(by_age)
  local total = 0
  for _, number in pairs(by_age or {}) do
    total = total + number
  end
  return total
end

local function count(hash, letter, window_ms, by)
  if by > 0 then
    redis.call('HINCRBY', hash, letter .. string.format('%.0f', slice_of(window_ms)), string.format('%.0f', by))
  end
end
