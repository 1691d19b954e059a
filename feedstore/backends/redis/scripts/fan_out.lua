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
local last_surplus = -(length + 1)
local is_given

-- ZDIFF from a timeline that is not there reads nothing, and refuses keys of another type before the first write.
-- Servers before 6.2 have no ZDIFF, and a call for each key.
local function check_types(first, last)
  local answer = redis.pcall('ZDIFF', last - first + 2, KEYS[1] .. ':none', unpack(KEYS, first, last))
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

for first = groups + 1, #KEYS, MOST_ARGUMENTS do
  local wrong = check_types(first, math.min(first + MOST_ARGUMENTS - 1, #KEYS))
  if wrong then
    return redis.error_reply(wrong)
  end
end

-- The state of a timeline that had the implicit floor and kept some of the entries that came.
local function state_behind(timeline, added, dropped)
  if call('ZCARD', timeline) == added - dropped then
    -- Nothing was there before: it had expired.
    return dropped > 0 and IMPLICIT or '0'
  end
  if not is_given then
    is_given = {}
    for _, id in ipairs(ids) do
      is_given[id] = true
    end
  end
  for position, id in ipairs(call('ZRANGE', timeline, 0, #ids)) do
    if not is_given[id] then
      return position == 1 and IMPLICIT or '0' .. id .. '\0'
    end
  end
  return '0' .. ids[#ids] .. '\0'
end

local total, left_alone, wrong = 0, {}, nil

-- Adds to one timeline and trims it; returns its new state, or nothing if ZADD is refused: ZDIFF takes a plain set for
-- a sorted one. Any other refusal (a server that is full, or became a replica) is told as it is.
local function add(timeline, state)
  local added = redis.pcall('ZADD', timeline, unpack(arguments))
  if type(added) ~= 'number' then
    local is_foreign = string.find(added.err, 'WRONGTYPE', 1, true)
    wrong = is_foreign and redis.error_reply('WRONGTYPE ' .. timeline .. ': ' .. added.err) or added
    return nil
  end
  local dropped = length < 0 and 0 or call('ZREMRANGEBYRANK', timeline, 0, last_surplus)
  total = total + added
  if state ~= IMPLICIT then
    return dropped > 0 and IMPLICIT or '0'
  end
  return added > dropped and state_behind(timeline, added, dropped) or state
end

-- All directories are read before the first write, which refuses those of another type.
local position, states_of = groups, {}
for group = 1, groups do
  local count = tonumber(ARGV[3 + group])
  states_of[group] = call('HMGET', KEYS[group], unpack(KEYS, position + 1, position + count))
  position = position + count
end

position = groups
for group = 1, groups do
  local directory, count, states = KEYS[group], tonumber(ARGV[3 + group]), states_of[group]
  local changed = {}
  for i = 1, count do
    local timeline, state = KEYS[position + i], states[i]
    if not state or state == IMPLICIT or state == '0' then
      local after = add(timeline, state)
      if wrong then
        break
      end
      if after ~= state then
        changed[#changed + 1] = timeline
        changed[#changed + 1] = after
      end
      if expiry > 0 then
        call('PEXPIRE', timeline, expiry)
      end
    else
      left_alone[#left_alone + 1] = position - groups + i - 1
    end
  end
  if #changed > 0 then
    in_chunks(changed, function(...) return call('HSET', directory, ...) end)
  end
  if wrong then
    return wrong
  end
  position = position + count
end
return {total, left_alone}
