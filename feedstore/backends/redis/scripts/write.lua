-- Carries out writes; each key's type is checked before the first write.
--
-- KEYS: the marker, the markers of further namespaces, then the keys of each write. ARGV: the format, the number of
-- buckets; msgpack of {items, writes, the numbers of buckets of the further namespaces}; the milliseconds after which a timeline that is not written to expires (0: never); '1' if all writes happen or none. An
-- item is {ids, payloads or nothing}, which writes name by its position. A write is {name, number of keys, arguments...}.
--
-- Returns what each write counts. A write may need a key that is not among its KEYS: the payloads of a timeline that has
-- some, or a timeline that is new since the caller read the directory. Then nothing is written and AGAIN is returned with
-- the positions of such writes; without '1', the other writes are carried out and {'AGAIN', 0} stands in place of its
-- count. Where a script has to drop more entries than it may, it returns TOO_MANY with their number and writes nothing;
-- without '1', {'TRIM', count} stands in place of the count of a write after which more are to be dropped.
local program = cmsgpack.unpack(ARGV[3])
local items, writes, expiry, is_atomic = program[1], program[2], tonumber(ARGV[4]), ARGV[5] == '1'
local MOST_DROPPED, MOST_DROPPED_ATOMICALLY = 2000, 4000
local AGAIN, TRIM, TOO_MANY = 'AGAIN', 'TRIM', 'TOO_MANY'

for i, buckets in ipairs(program[3]) do
  local further = call('HMGET', KEYS[1 + i], 'format', 'buckets')
  if further[1] ~= ARGV[1] or further[2] ~= buckets then
    return 'UNMARKED'
  end
end

local refusal, damage
local states, unfinished, dropping = {}, {}, 0
local budget = is_atomic and math.huge or MOST_DROPPED

local function check_type(key, expected)
  local actual = call('TYPE', key).ok
  if actual ~= expected and actual ~= 'none' then
    refusal = refusal or 'WRONGTYPE ' .. key .. ' is a ' .. actual .. ', not a ' .. expected
    return false
  end
  return true
end

-- What is known of a timeline, read once and kept up to date by each write.
local function load(keys)
  local directory, timeline = keys[1], keys[2]
  local state = states[timeline]
  if state then
    return state
  end
  state = {raw = call('HGET', directory, timeline), floor = ''}
  local size = call('ZCARD', timeline)
  state.size = size
  states[timeline] = state
  if not state.raw then
    return state
  end
  if is_damaged(state.raw) then
    damage = timeline
    return state
  end
  local letter = string.byte(state.raw)
  state.oldest = call('ZRANGE', timeline, ZERO, ZERO)[1]
  -- The payloads of a timeline that expired stay, if the last writer gave them no expiry.
  state.has_payloads = letter == WITH_PAYLOADS
  state.is_expired = size == 0 and letter ~= EMPTY
  if state.is_expired then
    return state
  end
  if state.raw == OLDEST_IS_FLOOR then
    state.floor = state.oldest .. '\0'
  else
    state.floor = string.sub(state.raw, 2)
  end
  return state
end

local function prepare(keys)
  local state = load(keys)
  if state.is_expired and state.has_payloads then
    call('UNLINK', keys[3])
    state.has_payloads = false
  end
  state.is_expired = false
  return state
end

-- Returns how many entries were dropped, and whether more are to be dropped.
local function drop_oldest(keys, state, length)
  local timeline = keys[2]
  local surplus = call('ZCARD', timeline) - length
  if surplus <= 0 then
    return 0, false
  end
  local count = math.min(surplus, budget)
  if count == 0 then
    return 0, true
  end
  budget = budget - count
  local newest
  for first = 1, count, MOST_ARGUMENTS do
    local popped = call('ZPOPMIN', timeline, math.min(MOST_ARGUMENTS, count - first + 1))
    local ids = {}
    for i = 1, #popped, 2 do
      ids[#ids + 1] = popped[i]
    end
    newest = ids[#ids]
    if state.has_payloads then
      call('HDEL', keys[3], unpack(ids))
    end
  end
  local floor = later(state.floor, newest .. '\1')
  state.was_raised = floor ~= state.floor
  state.floor = floor
  return count, count < surplus
end

local function raw_of(state, oldest)
  if not oldest then
    return state.floor ~= '' and 'e' .. state.floor
  end
  local may_be_implicit = state.was_raised or (state.raw == OLDEST_IS_FLOOR and oldest == state.oldest)
  if may_be_implicit and not state.has_payloads then
    return OLDEST_IS_FLOOR
  end
  return (state.has_payloads and '1' or ZERO) .. state.floor
end

local function save(keys, state)
  local directory, timeline, payloads = keys[1], keys[2], keys[3]
  if state.has_payloads and call('EXISTS', payloads) == 0 then
    state.has_payloads = false
  end
  local oldest = call('ZRANGE', timeline, ZERO, ZERO)[1]
  local raw = raw_of(state, oldest)
  if not raw then
    if state.raw then
      call('HDEL', directory, timeline)
    end
  elseif raw ~= state.raw then
    call('HSET', directory, timeline, raw)
  end
  state.raw, state.oldest, state.was_raised = raw, oldest, false
  if raw == OLDEST_IS_FLOOR then
    state.floor = oldest .. '\0'
  end
  if expiry > 0 and oldest then
    call('PEXPIRE', timeline, expiry)
    if state.has_payloads then
      call('PEXPIRE', payloads, expiry)
    end
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

-- Each kind of write: what checks its keys before the first write, and returns whether the write can be carried out with
-- them; and what carries it out.
local kinds = {}

local function check_timeline(keys, length)
  if not check_type(keys[1], 'hash') or not check_type(keys[2], 'zset') then
    return true
  end
  if keys[3] and not check_type(keys[3], 'hash') then
    return true
  end
  local state = load(keys)
  if length and length >= 0 then
    dropping = dropping + math.max(0, state.size - length)
  end
  return keys[3] or not state.has_payloads
end

local function timeline_kind(check, carry_out)
  return {check, function(keys, ...)
    local state = states[keys[2]]
    if unfinished[keys[2]] or (state and state.has_payloads and not keys[3]) then
      return {AGAIN, 0}
    end
    local count, is_unfinished = carry_out(keys, prepare(keys), ...)
    if is_unfinished then
      unfinished[keys[2]] = true
      return {TRIM, count}
    end
    return count
  end}
end

local function check_added(keys, _, length)
  return check_timeline(keys, length)
end

local function check_removed(keys)
  return check_timeline(keys)
end

kinds.add = timeline_kind(check_added, function(keys, state, item, length)
  local ids, data = items[item][1], items[item][2]
  local added = in_chunks(scored(ids), function(...) return call('ZADD', keys[2], ...) end)
  keep_payloads(keys[3], state, ids, data)
  local is_unfinished = false
  if length >= 0 then
    local _, more = drop_oldest(keys, state, length)
    is_unfinished = more
  end
  save(keys, state)
  return added, is_unfinished
end)

kinds.remove = timeline_kind(check_removed, function(keys, state, item)
  local ids = items[item][1]
  local removed = in_chunks(ids, function(...) return call('ZREM', keys[2], ...) end)
  keep_payloads(keys[3], state, ids)
  save(keys, state)
  return removed
end)

kinds.trim = timeline_kind(check_timeline, function(keys, state, length)
  local dropped, is_unfinished = drop_oldest(keys, state, length)
  save(keys, state)
  return dropped, is_unfinished
end)

-- The rest of what an add has to drop.
kinds.finish = kinds.trim

-- A timeline whose state is damaged can be deleted.
local function check_deleted(keys)
  if not check_type(keys[1], 'hash') or not check_type(keys[2], 'zset') then
    return true
  end
  if keys[3] then
    check_type(keys[3], 'hash')
    return true
  end
  local raw = call('HGET', keys[1], keys[2])
  return not raw or string.byte(raw) ~= WITH_PAYLOADS
end

kinds.delete = {check_deleted, function(keys)
  local state = states[keys[2]]
  if unfinished[keys[2]] or (state and state.has_payloads and not keys[3]) then
    return {AGAIN, 0}
  end
  call('HDEL', keys[1], keys[2])
  call('UNLINK', unpack(keys, 2))
  states[keys[2]] = nil
end}

-- Timelines of one directory, and the payloads of those that have some. With a true `all`, the directory must know no
-- other timeline.
kinds.forget = {function(keys, timelines, all)
  if not check_type(keys[1], 'hash') then
    return true
  end
  local is_declared = {}
  for i = 2, #keys do
    is_declared[keys[i]] = true
  end
  local known = 0
  for first = 2, timelines + 1, MOST_ARGUMENTS do
    local last = math.min(first + MOST_ARGUMENTS - 1, timelines + 1)
    for i, state in ipairs(call('HMGET', keys[1], unpack(keys, first, last))) do
      known = known + (state and 1 or 0)
      if state and string.byte(state) == WITH_PAYLOADS then
        -- feedstore{namespace:bucket}d, and feedstore{namespace:bucket}t:key with its payloads at ...p:key.
        local prefix = #keys[1] - 1
        local timeline = keys[first + i - 1]
        if not is_declared[string.sub(timeline, 1, prefix) .. 'p' .. string.sub(timeline, prefix + 2)] then
          return false
        end
      end
    end
  end
  return not all or known == call('HLEN', keys[1])
end, function(keys, timelines)
  for first = 2, timelines + 1, MOST_ARGUMENTS do
    call('HDEL', keys[1], unpack(keys, first, math.min(first + MOST_ARGUMENTS - 1, timelines + 1)))
  end
  for first = 2, #keys, MOST_ARGUMENTS do
    call('UNLINK', unpack(keys, first, math.min(first + MOST_ARGUMENTS - 1, #keys)))
  end
  for i = 2, timelines + 1 do
    states[keys[i]] = nil
    unfinished[keys[i]] = nil
  end
  return 0
end}

local function check_hash(keys)
  return check_type(keys[1], 'hash') or true
end

local function check_items(keys)
  return check_type(keys[1], 'zset') and check_type(keys[2], 'hash') or true
end

kinds.set = {check_hash, function(keys, item)
  local ids, data = items[item][1], items[item][2]
  local fields = {}
  for i = 1, #ids do
    fields[2 * i - 1] = ids[i]
    fields[2 * i] = data[i]
  end
  return in_chunks(fields, function(...) return call('HSET', keys[1], ...) end)
end}

kinds.unset = {check_hash, function(keys, item)
  return in_chunks(items[item][1], function(...) return call('HDEL', keys[1], ...) end)
end}

kinds.clear = {check_hash, function(keys)
  call('UNLINK', keys[1])
end}

kinds.upsert = {check_items, function(keys, key, data)
  call('ZADD', keys[1], 0, key)
  call('HSET', keys[2], key, data)
end}

kinds.discard = {check_items, function(keys, key)
  call('ZREM', keys[1], key)
  call('HDEL', keys[2], key)
end}

kinds.empty = {check_items, function(keys)
  call('UNLINK', keys[1], keys[2])
end}

local position, keys_of, again, is_refused = 1 + #program[3], {}, {}, {}
for number, write in ipairs(writes) do
  local keys = {unpack(KEYS, position + 1, position + write[2])}
  position = position + write[2]
  keys_of[number] = keys
  if not kinds[write[1]][1](keys, write[3], write[4]) then
    again[#again + 1] = number - 1
    is_refused[number] = true
  end
end
if refusal then
  return redis.error_reply(refusal)
end
if damage then
  return 'DAMAGED ' .. damage
end
if is_atomic and #again > 0 then
  return {AGAIN, again}
end
if is_atomic and dropping > MOST_DROPPED_ATOMICALLY then
  return {TOO_MANY, dropping}
end

local results = {}
for number, write in ipairs(writes) do
  if is_refused[number] then
    results[number] = {AGAIN, 0}
  else
    results[number] = kinds[write[1]][2](keys_of[number], write[3], write[4]) or false
  end
end
return results
