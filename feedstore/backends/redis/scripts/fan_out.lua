-- Adds the same ids to many timelines and trims each: the fast path for timelines that have no payloads.
--
-- KEYS: the marker, a directory for each group, then the timelines of each group. ARGV: the format, the number of
-- buckets, the greatest length (-1: none), the milliseconds of expiry (0: none), how many groups, how many timelines each
-- has, then the ids, oldest first. Returns how many entries were new, and the positions among the timelines of those
-- that write.lua has to write: they have payloads, or more entries to drop than one script may.
--
-- Few calls for each timeline make this fast: ZADD, ZREMRANGEBYRANK, and for each group one read of all states and at
-- most one write of those that changed. Where as many entries went as came, those that went were the oldest, and those
-- that stay are newer: the oldest entry is still the floor.
local length, expiry, groups = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local ids = {unpack(ARGV, 6 + groups)}
local arguments = scored(ids)
local last_surplus = string.format('%d', -(length + 1))
-- Of more than one id, some may be late, and others may be there already: then it takes the oldest entry before the add
-- to know which floor holds after it.
local are_several = #ids > 1
-- Timelines may hold far more entries than `length`: so many may be dropped here. Timelines are asked for their length
-- where they were never trimmed, and as long as the one before dropped more than came.
local budget, is_checked = 5000, true
local NO_FLOOR = '0'

-- ZDIFF of a key and itself reads no entry, and refuses keys of another type before the first write. Servers before 6.2
-- have no ZDIFF, and a call for each key.
local CHECKED_PER_CALL = 50

local function check_types(first, last)
  local answer = pcall('ZDIFF', last - first + 2, KEYS[first], unpack(KEYS, first, last))
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

for first = groups + 2, #KEYS, CHECKED_PER_CALL do
  local wrong = check_types(first, math.min(first + CHECKED_PER_CALL - 1, #KEYS))
  if wrong then
    return redis.error_reply(wrong)
  end
end

-- The state of a timeline in which other than as many entries were dropped as came, or that had no implicit floor.
local function state_after(timeline, state, oldest, added, dropped)
  if state ~= OLDEST_IS_FLOOR then
    return dropped > 0 and OLDEST_IS_FLOOR or NO_FLOOR
  end
  if added < dropped then
    return OLDEST_IS_FLOOR
  end
  if call('ZCARD', timeline) == added - dropped then
    -- Nothing was there before: it had expired.
    return dropped > 0 and OLDEST_IS_FLOOR or NO_FLOOR
  end
  local first = call('ZRANGE', timeline, ZERO, '1')
  if not oldest then
    -- One id came, and it was new.
    oldest = first[1] == ids[1] and first[2] or first[1]
  end
  return is_less(first[1], oldest) and NO_FLOOR .. oldest .. '\0' or OLDEST_IS_FLOOR
end

-- ZADD refuses a plain set, which ZDIFF takes for a sorted one. Any other refusal (a server that is full, or became a
-- replica) is passed on.
local function refusal_of(answer, timeline)
  if not string.find(answer.err, 'WRONGTYPE', 1, true) then
    return answer
  end
  return redis.error_reply('WRONGTYPE ' .. timeline .. ': ' .. answer.err)
end

-- All directories are read before the first write, which refuses those of another type and damaged states.
local position, states_of = groups + 1, {}
for group = 1, groups do
  local count = tonumber(ARGV[5 + group])
  local states = call('HMGET', KEYS[1 + group], unpack(KEYS, position + 1, position + count))
  for i = 1, count do
    local state = states[i]
    if state and state ~= OLDEST_IS_FLOOR and is_damaged(state) then
      return 'DAMAGED ' .. KEYS[position + i]
    end
  end
  states_of[group] = states
  position = position + count
end

local total, left_alone, wrong = 0, {}, nil
position = groups + 1
for group = 1, groups do
  local states, changed = states_of[group], {}
  for i = 1, #states do
    local timeline, state = KEYS[position + i], states[i]
    local can_write = state == OLDEST_IS_FLOOR or not state or state == NO_FLOOR
    if (is_checked or state ~= OLDEST_IS_FLOOR) and can_write and length >= 0 then
      local size = pcall('ZCARD', timeline)
      if type(size) ~= 'number' then
        wrong = refusal_of(size, timeline)
        break
      end
      can_write = size - length <= budget
      is_checked = size > length
    end
    if can_write then
      local oldest = are_several and state == OLDEST_IS_FLOOR and call('ZRANGE', timeline, ZERO, ZERO)[1]
      local added = pcall('ZADD', timeline, unpack(arguments))
      if type(added) ~= 'number' then
        wrong = refusal_of(added, timeline)
        break
      end
      total = total + added
      local dropped = length < 0 and 0 or call('ZREMRANGEBYRANK', timeline, ZERO, last_surplus)
      if dropped > #ids then
        budget = budget - dropped
        is_checked = true
      end
      if added ~= dropped or state ~= OLDEST_IS_FLOOR then
        local after = state_after(timeline, state, oldest, added, dropped)
        if after ~= state then
          changed[#changed + 1] = timeline
          changed[#changed + 1] = after
        end
      end
      if expiry > 0 then
        call('PEXPIRE', timeline, expiry)
      end
    else
      left_alone[#left_alone + 1] = position - groups + i - 2
    end
  end
  if #changed > 0 then
    in_chunks(changed, function(...) return call('HSET', KEYS[1 + group], ...) end)
  end
  if wrong then
    return wrong
  end
  position = position + #states
end
return {total, left_alone}
