-- The states of timelines, and what the kinds of writes share.
--
-- A directory is a hash: key of a timeline -> its state. A state is '-': entries were trimmed, the oldest entry is the
-- floor, and no entry has a payload. Otherwise it is a letter ('0' no payloads, '1' payloads, 'e' all entries are gone but
-- the floor is not), followed by the floor, if there is one: 16 bytes of an id, and '\0' if that is the floor itself, '\1'
-- if it is the newest id that was trimmed.
local call, pcall = redis.call, redis.pcall
local OLDEST_IS_FLOOR = '-'
local MOST_ARGUMENTS = 4000
local PLAIN, WITH_PAYLOADS, EMPTY = 48, 49, 101
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

-- Lua compares texts by the server's locale; ids and floors are compared byte by byte, a few bytes at a time.
local function is_less(one, other)
  local a, b, c = struct.unpack('>I6I6I4', one)
  local d, e, f = struct.unpack('>I6I6I4', other)
  if a ~= d then
    return a < d
  end
  if b ~= e then
    return b < e
  end
  return c < f
end

local function later(floor, other)
  if floor == '' or is_less(floor, other) then
    return other
  end
  if is_less(other, floor) or string.byte(floor, 17) == 1 then
    return floor
  end
  return other
end

local function is_damaged(state)
  if state == OLDEST_IS_FLOOR then
    return false
  end
  local letter = string.byte(state)
  local is_known = letter == PLAIN or letter == WITH_PAYLOADS or letter == EMPTY
  return not is_known or (#state ~= 1 and #state ~= 18)
end
