-- Adds the same ids to many timelines and trims each: the way of the timelines that have no payloads.
--
-- KEYS: a directory for each group, then the timelines of each group. ARGV: the greatest length (-1: none), the
-- milliseconds of expiry (0: none), how many groups, how many timelines each has, then the ids, oldest first.
-- Returns how many entries were new, and the positions among the timelines of those that it left alone: they have
-- payloads, or a floor of their own.
--
-- Few calls for each timeline are what makes this fast: ZADD, ZREMRANGEBYRANK, and for each group one read of all
-- states and at most one write of those that changed. Where as many entries went as came, those that went were the
-- oldest, and what is left is newer: the oldest entry is still the floor.
local length, expiry, groups = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ids = {unpack(ARGV, 4 + groups)}
local arguments = scored(ids)
local last_surplus = string.format('%d', -(length + 1))
local pcall = redis.pcall
local NO_FLOOR = '0'
local is_given

-- ZDIFF from a timeline that is not there reads nothing, and refuses keys of another type before the first write. It
-- sorts its keys by length, which a few at a time cost less. Servers before 6.2 have no ZDIFF, and a call for each key.
local CHECKED_AT_ONCE = 50
local nothing = KEYS[1] .. ':none'

local function check_types(first, last)
  local answer = pcall('ZDIFF', last - first + 2, nothing, unpack(KEYS, first, last))
  if not answer.err or not string.find(answer.err, 'Unknown', 1, true) then
    return answer.err
  end
  for i = first, last do
    local kind = call('TYPE', KEYS[i]).ok
    if kind ~= 'zset' and kind ~= 'none' then
      return 'WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind .. ', not a zset'
    end
  end
end

for first = groups + 1, #KEYS, CHECKED_AT_ONCE do
  local wrong = check_types(first, math.min(first + CHECKED_AT_ONCE - 1, #KEYS))
  if wrong then
    return redis.error_reply(wrong)
  end
end

-- The state of a timeline that did not drop as many entries as came, or had no implicit floor.
local function state_behind(timeline, state, added, dropped)
  if state ~= IMPLICIT then
    return dropped > 0 and IMPLICIT or NO_FLOOR
  end
  if added < dropped then
    return IMPLICIT
  end
  if call('ZCARD', timeline) == added - dropped then
    -- Nothing was there before: it had expired.
    return dropped > 0 and IMPLICIT or NO_FLOOR
  end
  if not is_given then
    is_given = {}
    for _, id in ipairs(ids) do
      is_given[id] = true
    end
  end
  for position, id in ipairs(call('ZRANGE', timeline, 0, #ids)) do
    if not is_given[id] then
      return position == 1 and IMPLICIT or NO_FLOOR .. id .. '\0'
    end
  end
  return NO_FLOOR .. ids[#ids] .. '\0'
end

-- ZADD refuses a plain set, which ZDIFF takes for a sorted one. Any other refusal (a server that is full, or became a
-- replica) is told as it is.
local function told(refusal, timeline)
  if not string.find(refusal.err, 'WRONGTYPE', 1, true) then
    return refusal
  end
  return redis.error_reply('WRONGTYPE ' .. timeline .. ': ' .. refusal.err)
end

-- All directories are read before the first write, which refuses those of another type.
local position, states_of = groups, {}
for group = 1, groups do
  local count = tonumber(ARGV[3 + group])
  states_of[group] = call('HMGET', KEYS[group], unpack(KEYS, position + 1, position + count))
  position = position + count
end

local total, left_alone, wrong = 0, {}, nil
position = groups
for group = 1, groups do
  local states, changed = states_of[group], {}
  for i = 1, #states do
    local timeline, state = KEYS[position + i], states[i]
    if not state or state == IMPLICIT or state == NO_FLOOR then
      local added = pcall('ZADD', timeline, unpack(arguments))
      if type(added) ~= 'number' then
        wrong = told(added, timeline)
        break
      end
      total = total + added
      local dropped = length < 0 and 0 or call('ZREMRANGEBYRANK', timeline, ZERO, last_surplus)
      if added ~= dropped or state ~= IMPLICIT then
        local after = state_behind(timeline, state, added, dropped)
        if after ~= state then
          changed[#changed + 1] = timeline
          changed[#changed + 1] = after
        end
      end
      if expiry > 0 then
        call('PEXPIRE', timeline, expiry)
      end
    else
      left_alone[#left_alone + 1] = position - groups + i - 1
    end
  end
  if #changed > 0 then
    in_chunks(changed, function(...) return call('HSET', KEYS[group], ...) end)
  end
  if wrong then
    return wrong
  end
  position = position + #states
end
return {total, left_alone}
