-- A sliding window (see rates.py) is a hash: slice -> amount; `sum` of all of them; `from`, `to`, the first and the last that count.
-- The sum is kept, and what is too old goes slice by slice from the first: so a call costs the same however full a window is.

local SLICES = 120 -- a slice counts until all of it is older than the window, so up to 1/120 of it too long

local function slice_ms_of(window_ms)
  return math.max(1, math.ceil(window_ms / SLICES))
end

local function whole(number)
  return string.format('%.0f', number)
end
