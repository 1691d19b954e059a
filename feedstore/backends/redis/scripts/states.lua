-- What is known of the timelines that a script writes, and the steps that writes are made of.
--
-- KEYS: the marker, then the keys of each write. ARGV: the format, the number of buckets; msgpack of {items, writes}; the
-- milliseconds after which a timeline that is not written to expires (0: never); '1' if all writes happen or none. An item
-- is {ids, payloads or nothing}, which writes name by its position. A write is {name, number of keys, arguments...}. The
-- keys of a write of one timeline are its directory, its sorted set and maybe its payloads; those of its companions follow,
-- three for each.
local program = cmsgpack.unpack(ARGV[3])
local items, writes, expiry, is_atomic = program[1], program[2], tonumber(ARGV[4]), ARGV[5] == '1'
local MOST_DROPPED, MOST_DROPPED_ATOMICALLY = 2000, 4000
local MOST_READ, MOST_READ_OF_ONE, MOST_READ_ATOMICALLY = 10000, 40000, 40000
local AGAIN, TRIM, PART = 'AGAIN', 'TRIM', 'PART'
local KEYS_OF_TIMELINE = 3

local refusal, damage, large
-- Whether a condition does not hold, and whether this script was carried out before and its answer was lost.
local is_unmet, is_done
local states, unfinished, dropping, reading = {}, {}, 0, 0
local budget = is_atomic and math.huge or MOST_DROPPED
-- The states of the timelines of fan-outs, which take a faster way: the texts in the directories, false for none.
local known = {}
-- Each kind of write: what checks its keys before the first write, and returns whether the write can be carried out with
-- them; and what carries it out.
local kinds = {}

local function check_type(key, expected)
  local actual = call('TYPE', key).ok
  if actual ~= expected and actual ~= 'none' then
    refusal = refusal or 'WRONGTYPE ' .. key .. ' is a ' .. actual .. ', not a ' .. expected
    return false
  end
  return true
end

-- The steps, and each family of kinds, are made when they are needed first: to make them all takes longer than a short
-- script runs.
local load, prepare, raw_of, save, keep_payloads
local companion_of, add_ids, remove_ids, remove_from_companions, drop_oldest

local function define_steps()
  if load then
    return
  end
  -- What is known of a timeline, read once and kept up to date by each write.
  function load(keys)
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

  function prepare(keys)
    local state = load(keys)
    if state.is_expired and state.has_payloads then
      call('UNLINK', keys[3])
      state.has_payloads = false
    end
    state.is_expired = false
    return state
  end

  function raw_of(state, oldest)
    if not oldest then
      return state.floor ~= '' and 'e' .. state.floor
    end
    local may_be_implicit = state.was_raised or (state.raw == OLDEST_IS_FLOOR and oldest == state.oldest)
    if may_be_implicit and not state.has_payloads then
      return OLDEST_IS_FLOOR
    end
    return (state.has_payloads and '1' or ZERO) .. state.floor
  end

  function save(keys, state)
    local directory, timeline, payloads = keys[1], keys[2], keys[3]
    -- While a slot moves, its node refuses a read of a key that this script has emptied.
    if state.has_payloads and pcall('EXISTS', payloads) ~= 1 then
      state.has_payloads = false
    end
    local oldest = pcall('ZRANGE', timeline, ZERO, ZERO)[1]
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

  function keep_payloads(payloads, state, ids, data)
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

  function companion_of(keys, first)
    return {keys[first], keys[first + 1], keys[first + 2]}
  end

  function add_ids(keys, state, ids, data)
    local added = in_chunks(scored(ids), function(...) return call('ZADD', keys[2], ...) end)
    keep_payloads(keys[3], state, ids, data)
    return added
  end

  function remove_ids(keys, state, ids)
    local removed = in_chunks(ids, function(...) return call('ZREM', keys[2], ...) end)
    keep_payloads(keys[3], state, ids)
    return removed
  end

  function remove_from_companions(keys, ids)
    for first = KEYS_OF_TIMELINE + 1, #keys, KEYS_OF_TIMELINE do
      local companion = companion_of(keys, first)
      local state = prepare(companion)
      remove_ids(companion, state, ids)
      save(companion, state)
    end
  end

  -- Returns how many entries were dropped, and whether more are to be dropped.
  function drop_oldest(keys, state, length)
    local timeline = keys[2]
    local surplus = call('ZCARD', timeline) - length
    if surplus <= 0 then
      return 0, false
    end
    if budget <= 0 then
      return 0, true
    end
    -- A companion drops what its timeline does.
    local weight = math.max(1, math.floor(#keys / KEYS_OF_TIMELINE))
    local count = math.min(surplus, math.max(1, math.floor(budget / weight)))
    budget = budget - count * weight
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
      remove_from_companions(keys, ids)
    end
    local floor = later(state.floor, newest .. '\1')
    state.was_raised = floor ~= state.floor
    state.floor = floor
    return count, count < surplus
  end
end

