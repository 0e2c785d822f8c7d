-- Append events to tasks' streams and push each to its task's channel.
-- KEYS  the prefix of all keys
-- ARGV  events to keep a stream, seconds to keep an unfinished and a finished stream; then: task, attempt, type, data
-- Reply a number for each; 0 when it was refused
-- Promise: numbers increase, are those of the plane's clock in microseconds where that is ahead, and stay below 2^53.
-- Refused are: a lower attempt than the last event's; anything but a change of state after the final event of the same
-- attempt; and a repetition of the stream's last event.

local KEEP, UNFINISHED_SECONDS, FINISHED_SECONDS = ARGV[1], ARGV[2], ARGV[3]
local PUSHED_BYTES = 65536
local FINAL = { ['task.succeeded'] = true, ['task.failed'] = true, ['task.cancelled'] = true }

local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function last_of(stream)
  local entry = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  if not entry then
    return { number = 0, attempt = -1 }
  end
  local fields = entry[2]
  return {
    number = tonumber(string.match(entry[1], '^%d+')), attempt = tonumber(fields[2]), type = fields[4], data = fields[6],
  }
end

local function is_refused(last, attempt, type, data)
  if attempt ~= last.attempt then
    return attempt < last.attempt
  end
  if type == last.type and data == last.data then
    return true
  end
  return FINAL[last.type] and string.sub(type, 1, 5) ~= 'task.'
end

local function append(task, attempt, type, data)
  local stream = STREAM .. task
  local last = last_of(stream)
  if is_refused(last, tonumber(attempt), type, data) then
    return 0
  end
  local number = math.max(last.number + 1, now_us)
  local number_text = string.format('%.0f', number)
  redis.call(
    'XADD', stream, 'MAXLEN', '~', KEEP, number_text .. '-0', 'attempt', attempt, 'type', type, 'data', data)
  redis.call('EXPIRE', stream, FINAL[type] and FINISHED_SECONDS or UNFINISHED_SECONDS)
  local pushed = #data <= PUSHED_BYTES and data or ''
  redis.call('PUBLISH', TASK_CHANNEL .. task, number_text .. '|' .. type .. '|' .. pushed)
  return number
end

local numbers = {}
for at = 4, #ARGV, 4 do
  table.insert(numbers, append(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]))
end
return numbers
