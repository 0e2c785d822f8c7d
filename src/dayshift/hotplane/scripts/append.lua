-- Append events to tasks' streams and push each to its task's channel.
-- KEYS  the prefix of all keys
-- ARGV  events to keep a stream, seconds to keep an unfinished and a finished stream, finished streams to keep, writer
--       ('': nobody who repeats); then: order, task, attempt, type, data
-- Reply a number for each; 0 when it was refused
-- Promise: numbers increase, are those of the plane's clock in microseconds where that is ahead, and stay below 2^53.
-- Refused are: what this writer has told before; a lower attempt than the last event's; after the final event of the
-- same attempt all that belongs to its run; and a repetition of the stream's last event.
--
-- A writer that repeats numbers its events and tells them in that order, so one number a writer, for all streams, says
-- what is a repetition: also when an older delivery arrives behind a newer one. It is lost with the streams, not before.

local KEEP, UNFINISHED_SECONDS, FINISHED_SECONDS, KEEP_FINISHED, WRITER = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local PUSHED_BYTES = 65536
local HOUR_US = 3600 * 1000000
local FINAL = { ['task.succeeded'] = true, ['task.failed'] = true, ['task.cancelled'] = true }
local OF_A_RUN = {
  ['task.started'] = true, ['task.waiting'] = true, ['task.retrying'] = true, ['agent.event'] = true, ['llm.delta'] = true,
  ['llm.restarted'] = true, ['effect.finished'] = true,
}

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
  return FINAL[last.type] and OF_A_RUN[type]
end

local function hour_of(number)
  return math.floor(number / HOUR_US)
end

-- A finished stream is kept for those who come late, as long as there is room. Two go for each that comes, so that a bound
-- which was lowered is reached; those that ended by their time to live leave the list in the same way.
local function keep_finished(task, number)
  redis.call('ZADD', FINISHED, number, task)
  redis.call('EXPIRE', FINISHED, FINISHED_SECONDS)
  if redis.call('ZCARD', FINISHED) > KEEP_FINISHED then
    local oldest = redis.call('ZPOPMIN', FINISHED, 2)
    for at = 1, #oldest, 2 do
      redis.call('UNLINK', STREAM .. oldest[at])
    end
  end
end

-- Of an unfinished stream with the first event of each hour: once for all that follow closely.
local function set_time_to_live(task, last, type, number)
  local stream = STREAM .. task
  if FINAL[type] then
    redis.call('EXPIRE', stream, FINISHED_SECONDS)
    keep_finished(task, number)
  elseif FINAL[last.type] then
    redis.call('EXPIRE', stream, UNFINISHED_SECONDS)
    redis.call('ZREM', FINISHED, task)
  elseif hour_of(number) ~= hour_of(last.number) then
    redis.call('EXPIRE', stream, UNFINISHED_SECONDS)
  end
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
  set_time_to_live(task, last, type, number)
  local pushed = #data <= PUSHED_BYTES and data or ''
  redis.call('PUBLISH', TASK_CHANNEL .. task, number_text .. '|' .. type .. '|' .. pushed)
  return number
end

local told = WRITER ~= '' and tonumber(redis.call('GET', TOLD .. WRITER)) or 0
local numbers = {}
for at = 6, #ARGV, 5 do
  local order = tonumber(ARGV[at])
  if WRITER ~= '' and order <= told then
    table.insert(numbers, 0)
  else
    table.insert(numbers, append(ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]))
    told = order
  end
end
if WRITER ~= '' then
  redis.call('SET', TOLD .. WRITER, string.format('%.0f', told), 'EX', UNFINISHED_SECONDS)
end
return numbers
