-- What is known of the timelines that a script writes, and the steps that writes are made of.
--
-- KEYS: the marker, then the keys of each write. ARGV: the format, the number of buckets; msgpack of {items, writes}; the
-- milliseconds after which a timeline that is not written to expires (0: never); '1' if all writes happen or none. An item
-- is {sorted ids, payloads or nothing}, which writes name by its position. A write is {name, number of keys, arguments...}. The
-- keys of a write of one timeline are its directory, the timeline and maybe its payloads; those of its companions follow,
-- three for each.
local program = cmsgpack.unpack(ARGV[3])
local items, writes, expiry, is_atomic = program[1], program[2], tonumber(ARGV[4]), ARGV[5] == '1'
local MOST_DROPPED, MOST_DROPPED_ATOMICALLY = 2000, 4000
-- A script that need not be atomic changes so many chunks with one write.
local MOST_CHUNKS_CHANGED = 40
local MOST_READ, MOST_READ_OF_ONE, MOST_READ_ATOMICALLY = 10000, 40000, 40000
local AGAIN, TRIM, PART, REST = 'AGAIN', 'TRIM', 'PART', 'REST'
local KEYS_OF_TIMELINE = 3

local refusal, damage, large
-- Whether a condition does not hold, and whether this script was carried out before and its answer was lost.
local is_unmet, is_done
local states, unfinished, dropping, reading = {}, {}, 0, 0
local budget = is_atomic and math.huge or MOST_DROPPED
local most_chunks = is_atomic and math.huge or MOST_CHUNKS_CHANGED
-- What fan-outs have read of their timelines: the newest ids and the trailer, '' for a timeline that is not there.
local newest_of = {}
-- Each kind of write: what checks its keys before the first write, and returns whether the write can be carried out with
-- them; and what carries it out.
local kinds = {}

-- Redis writes each number that a call is given as a string, by way of a double: strings that do not change are made once.
local ZERO = '0'

-- The types of keys that were checked.
local checked = {}

local function refuse_type(key, actual, expected)
  refusal = refusal or 'WRONGTYPE ' .. key .. ' is a ' .. actual .. ', not a ' .. expected
end

local function check_type(key, expected)
  if checked[key] ~= expected then
    local actual = call('TYPE', key).ok
    if actual ~= expected and actual ~= 'none' then
      refuse_type(key, actual, expected)
      return false
    end
    checked[key] = expected
  end
  return true
end

-- The steps, and each family of kinds, are made when they are needed first: to make them all takes longer than a short
-- script runs.

function M.define_steps()
  if M.load then
    return
  end
  M.define_timelines()
  M.define_strings()
  M.define_endings()

  -- What is known of a timeline, read once and kept up to date by each write.
  function M.load(keys, newest)
    local timeline = keys[2]
    local t = states[timeline]
    if not t then
      if not newest and not check_type(timeline, 'string') then
        t = {size = 0, held = 0, older = 0}
      else
        t = M.opened(timeline, keys[3], newest)
      end
      if t.is_missing then
        t.listed = call('HGET', keys[1], timeline)
        -- A side hash whose timeline has expired is deleted by the next write.
        t.is_expired = t.listed == '1'
      else
        t.listed = t.size == 0 and 'e' or (t.has_payloads or t.older > 0) and '1' or '0'
      end
      if t.is_damaged then
        damage = timeline
      end
      states[timeline] = t
    end
    t.side = t.side or keys[3]
    if t.older > 0 and t.side and not t.root then
      M.define_chunks()
      M.load_root(t)
      if t.is_damaged then
        damage = timeline
      end
    end
    return t
  end

  -- Returns what is known of a timeline that this script has deleted.
  function M.blank(timeline, side)
    states[timeline] = {key = timeline, side = side, held = 0, older = 0, size = 0, base = 0, tail = '', is_whole = true}
  end

  function M.has_side(t)
    return t.has_payloads or t.older > 0 or t.is_expired
  end

  -- Returns whether a timeline that gets so many ids is to have chunks, or has a side hash already. Several writes of one
  -- script may add more to a string than it is to hold: the next write parts it.
  function M.needs_side(t, count)
    return M.has_side(t) or math.min(t.held, t.size) + count > MOST_IN_STRING
  end

  function M.prepare(keys)
    local t = M.load(keys)
    if t.is_expired then
      M.delete_key(t.side)
      t.is_expired = false
    end
    return t
  end

  function M.save(keys, t)
    local directory, timeline, side = keys[1], keys[2], t.side
    if t.has_payloads and not deleted[side] and not deleted_fields[side] and call('EXISTS', side) == 0 then
      t.has_payloads = false
    end
    local state = M.written(t)
    if state ~= t.listed then
      M.list(directory, timeline, state)
      t.listed = state
    end
    t.directory = directory
    if t.is_damaged then
      damage = timeline
    end
    if expiry > 0 and t.size > 0 then
      call('PEXPIRE', timeline, expiry)
      if t.has_payloads or t.older > 0 then
        -- Chunks must not expire before their timeline.
        call('PEXPIRE', side, expiry)
      end
    end
  end

  function M.keep_payloads(t, ids, data, rest)
    if not data and not t.has_payloads then
      return
    end
    local present, absent = {}, {}
    for i = 1, (rest or #ids + 1) - 1 do
      if data and data[i] ~= '' then
        present[#present + 1] = ids[i]
        present[#present + 1] = data[i]
      elseif t.has_payloads then
        absent[#absent + 1] = ids[i]
      end
    end
    M.set_fields(t, present)
    M.delete_fields(t, absent)
    t.has_payloads = t.has_payloads or #present > 0
  end

  function M.companion_of(keys, first)
    return {keys[first], keys[first + 1], keys[first + 2]}
  end

  -- Adds sorted ids. Returns how many were new, and the position of the first id that remains, if the timeline has chunks
  -- and the script has changed as many of them as it may. `is_new` maps each position of an id that was new to true.
  function M.add_ids(t, ids, data, is_new)
    local added, rest = M.add_records(t, ids, most_chunks, is_new or {})
    M.keep_payloads(t, ids, data, rest)
    return added, rest
  end

  function M.remove_ids(t, ids)
    local removed, rest = M.remove_records(t, ids, most_chunks)
    M.keep_payloads(t, ids, nil, rest)
    return removed, rest
  end

  function M.remove_from_companions(keys, ids)
    for first = KEYS_OF_TIMELINE + 1, #keys, KEYS_OF_TIMELINE do
      local companion = M.companion_of(keys, first)
      local t = M.prepare(companion)
      M.remove_ids(t, ids)
      M.save(companion, t)
    end
  end

  -- Returns how many entries were dropped, and whether more are to be dropped. Entries without payloads and companions are
  -- dropped together; the others are read, and a script drops as many of them as its budget allows.
  function M.drop_oldest(keys, t, length)
    local surplus = t.size - length
    if surplus <= 0 then
      return 0, false
    end
    if not t.has_payloads and #keys <= KEYS_OF_TIMELINE then
      M.drop(t, surplus)
      return surplus, false
    end
    if budget <= 0 then
      return 0, true
    end
    -- A companion drops what its timeline does.
    local weight = math.max(1, floor(#keys / KEYS_OF_TIMELINE))
    local count = math.min(surplus, math.max(1, floor(budget / weight)))
    budget = budget - count * weight
    local ids = M.ids_in(M.read(t, 0, count))
    if t.has_payloads then
      M.delete_fields(t, ids)
    end
    M.remove_from_companions(keys, ids)
    M.drop(t, count)
    return count, count < surplus
  end
end

-- Ends the script's writes. A side hash that has lost its last field is no longer named by its timeline.
local function finish()
  if not M.finish_writes then
    return
  end
  M.finish_writes(function(t)
    t.has_payloads = false
    M.save({t.directory, t.key}, t)
  end)
end
