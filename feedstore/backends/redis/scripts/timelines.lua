-- What the scripts that write timelines share.
--
-- A directory is a hash: key of a timeline -> its state. A state is '-': entries were trimmed, the oldest that is left
-- is the floor, and no entry has a payload. Otherwise it is a letter, '0' no payloads, '1' payloads, 'e' nothing is left
-- but the floor; and behind it the floor, if there is one: 16 bytes of an id, and '\0' if it is the floor itself, '\1'
-- if it is the newest that was trimmed.
local call = redis.call
local IMPLICIT = '-'
local MOST_ARGUMENTS = 4000
-- Redis writes each number that a call is given as a text, by way of a double: texts that do not change are made once.
local ZERO = '0'

local function in_chunks(list, use)
  local total = 0
  for first = 1, #list, MOST_ARGUMENTS do
    total = total + use(unpack(list, first, math.min(first + MOST_ARGUMENTS - 1, #list)))
  end
  return total
end

local function scored(ids)
  local arguments = {}
  for i = 1, #ids do
    arguments[2 * i - 1] = ZERO
    arguments[2 * i] = ids[i]
  end
  return arguments
end

-- Lua compares texts by the server's locale; ids are compared byte by byte.
local function is_less(one, other)
  for i = 1, #one do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then
      return a < b
    end
  end
  return false
end

local function later(floor, other)
  if floor and not is_less(floor, other) then
    return floor
  end
  return other
end

local function refresh(expiry, timeline, payloads)
  if expiry > 0 then
    call('PEXPIRE', timeline, expiry)
    if payloads then
      call('PEXPIRE', payloads, expiry)
    end
  end
end

local function load(directory, timeline, payloads)
  local found = {raw = call('HGET', directory, timeline)}
  local first = call('ZRANGE', timeline, ZERO, ZERO)[1]
  found.oldest = first
  if not found.raw or (not first and string.sub(found.raw, 1, 1) ~= 'e') then
    -- New, or expired, and expiry counts as delete. Payloads are left if whoever wrote last gave them no expiry.
    if found.raw then
      call('UNLINK', payloads)
    end
    return found
  end
  if found.raw == IMPLICIT then
    found.floor = first .. '\0'
  else
    found.has_payloads = string.sub(found.raw, 1, 1) == '1'
    found.floor = #found.raw > 1 and string.sub(found.raw, 2)
  end
  return found
end

local function drop_oldest(timeline, payloads, state, length)
  local over = call('ZCARD', timeline) - length
  if over <= 0 then
    return 0
  end
  local newest_dropped = call('ZRANGE', timeline, over - 1, over - 1)[1]
  if state.has_payloads then
    for first = 0, over - 1, MOST_ARGUMENTS do
      local last = math.min(first + MOST_ARGUMENTS, over) - 1
      call('HDEL', payloads, unpack(call('ZRANGE', timeline, first, last)))
    end
  end
  call('ZREMRANGEBYRANK', timeline, ZERO, over - 1)
  local floor = later(state.floor, newest_dropped .. '\1')
  state.was_raised = floor ~= state.floor
  state.floor = floor
  return over
end

local function raw_of(state, oldest)
  if not oldest then
    return state.floor and 'e' .. state.floor
  end
  local may_be_implicit = state.was_raised or (state.raw == IMPLICIT and oldest == state.oldest)
  if may_be_implicit and state.floor and not state.has_payloads then
    return IMPLICIT
  end
  return (state.has_payloads and '1' or '0') .. (state.floor or '')
end

local function save(directory, timeline, payloads, state, expiry)
  if state.has_payloads and call('EXISTS', payloads) == 0 then
    state.has_payloads = false
  end
  local oldest = call('ZRANGE', timeline, ZERO, ZERO)[1]
  local raw = raw_of(state, oldest)
  if not raw then
    call('HDEL', directory, timeline)
  elseif raw ~= state.raw then
    call('HSET', directory, timeline, raw)
  end
  if oldest then
    refresh(expiry, timeline, state.has_payloads and payloads)
  end
end

local function keep_payloads(payloads, state, ids, data)
  local present, absent = {}, {}
  for i = 1, #ids do
    if data and data[i] ~= '' then
      present[#present + 1] = ids[i]
      present[#present + 1] = data[i]
    elseif state.has_payloads then
      absent[#absent + 1] = ids[i]
    end
  end
  in_chunks(present, function(...) return call('HSET', payloads, ...) end)
  in_chunks(absent, function(...) return call('HDEL', payloads, ...) end)
  state.has_payloads = state.has_payloads or #present > 0
end
