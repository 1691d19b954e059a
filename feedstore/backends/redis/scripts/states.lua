-- The state of the timelines that a script writes, and the steps of its writes.
--
-- KEYS: the marker, then the keys of each write. ARGV: the format, the number of buckets; msgpack of {items, writes}; the
-- milliseconds after which a timeline without writes expires (0: never); '1' if all writes happen or none; '1' if a side key
-- may become one of another type. For a fan-out of the same ids alone, the program is '', as quick.lua says, and for a share alone,
-- 'share', as sharing.lua says. An item is {sorted ids,
-- payloads or nothing}, which writes name by its position. A write is {name, number of keys, arguments...}. The keys of a write
-- of one timeline are its directory, the timeline and maybe its side key; those of its companions follow, three for each.
local items, writes
if ARGV[3] == '' then
  items, writes = {{{unpack(ARGV, 11)}}}, {{'fan_out', #KEYS - 1, 1, tonumber(ARGV[7]), cmsgpack.unpack(ARGV[10])}}
elseif first_share then
  items = {{{first_share.id}, {first_share.payload}}}
  writes = {{'share', #KEYS - 1, 1, first_share.most, first_share.length, tonumber(ARGV[14]), cmsgpack.unpack(ARGV[10])}}
else
  items, writes = unpack(cmsgpack.unpack(ARGV[3]))
end
M.may_replace = ARGV[6] == '1'
local MOST_DROPPED, MOST_DROPPED_ATOMICALLY = 2000, 4000
-- The work of changing chunks, in units of 50 microseconds, that a script does if it need not be atomic.
local MOST_CHUNK_WORK = 60
-- The companions of a timeline change in the same step as the timeline at any amount of work. It counts for later writes.
local NO_BOUND = 1000000000
local MOST_READ_OF_ONE, MOST_READ_ATOMICALLY = 40000, 40000
local AGAIN, TRIM, PART, REST = 'AGAIN', 'TRIM', 'PART', 'REST'
local KEYS_OF_TIMELINE = 3

local refusal, damage, large
-- Whether a condition does not hold, and whether this script was carried out before and its answer was lost.
local is_unmet, is_done
local states, unfinished, dropping, reading = {}, {}, 0, 0
local budget = is_atomic and math.huge or MOST_DROPPED
M.chunk_work = is_atomic and math.huge or MOST_CHUNK_WORK
-- The ends of timelines that fan-outs have read: the newest ids and the trailer, '' for a timeline that is not there.
local newest_of = {}
-- Each kind of write: a function that checks its keys before the first write, and returns whether the write can be carried out
-- with them; and a function that carries it out.
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

function M.define_steps()
  if M.load then
    return
  end
  M.define_timelines()
  M.define_strings()
  M.define_endings()
  M.define_payloads()

  -- Checks the type of the side key. A list that the server has evicted leaves a timeline without payloads.
  local function check_side(t)
    t.is_side_known = true
    local kind = call('TYPE', t.side).ok
    if kind ~= 'none' and kind ~= 'list' and kind ~= 'hash' then
      refuse_type(t.side, kind, 'list')
    elseif t.has_payloads and not t.is_hashed then
      local count = kind == 'list' and call('LLEN', t.side) or 0
      t.has_payloads = count > 0
      t.is_damaged = t.is_damaged or kind == 'hash' or (count > 0 and count ~= t.size)
    elseif t.is_hashed and kind == 'list' then
      t.is_damaged = true
    end
  end

  -- Returns the state of a timeline, which the script reads once, and each write keeps up to date.
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
        -- The next write deletes the side key of a timeline that has expired.
        t.is_expired = t.listed == '1'
      else
        t.listed = t.size == 0 and 'e' or (t.has_payloads or t.older > 0) and '1' or '0'
      end
      t.is_hashed = t.older > 0
      states[timeline] = t
    end
    if keys[3] and not t.side then
      t.side = keys[3]
    end
    if t.side and not t.is_side_known then
      check_side(t)
    end
    if t.is_damaged then
      damage = timeline
    end
    if t.older > 0 and t.side and not t.root then
      M.define_chunks()
      M.load_root(t)
      if t.is_damaged then
        damage = timeline
      end
    end
    return t
  end

  -- Makes the state of a timeline that this script has deleted.
  function M.blank(timeline, side)
    states[timeline] = {key = timeline, side = side, held = 0, older = 0, size = 0, base = 0, tail = '', is_whole = true,
      is_side_known = true}
  end

  function M.has_side(t)
    return t.has_payloads or t.older > 0 or t.is_expired
  end

  -- Returns whether a timeline that gets so many ids is to have chunks, or has a side key already. Several writes of one
  -- script may add more to a string than it is to hold: the next write parts it.
  function M.needs_side(t, count)
    return M.has_side(t) or math.min(t.held, t.size) + count > MOST_IN_STRING
  end

  -- Returns whether a write may have to make the side key one of another type.
  function M.needs_replacement(t, count)
    return t.has_payloads and not M.may_replace and (t.is_hashed or math.min(t.held, t.size) + count > MOST_IN_STRING)
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
    local state = M.written(t)
    if state ~= t.listed then
      M.list(directory, timeline, state)
      t.listed = state
    end
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

  function M.companion_of(keys, first)
    return {keys[first], keys[first + 1], keys[first + 2]}
  end

  -- Adds sorted ids. Returns how many were new, and the position of the first id that remains, if the timeline has chunks
  -- and the script has changed as many of them as it may. `is_new` maps each position of an id that was new to true.
  function M.add_ids(t, ids, data, is_new)
    is_new = is_new or {}
    local added, rest = M.add_records(t, ids, is_new)
    if data or t.has_payloads then
      M.keep_payloads(t, ids, data, is_new, added, rest)
    end
    return added, rest
  end

  function M.remove_ids(t, ids)
    if t.has_payloads and not t.is_hashed then
      M.remove_payloads(t, ids)
    end
    local removed, rest = M.remove_records(t, ids)
    if t.is_hashed then
      M.remove_payloads(t, ids, (rest or #ids + 1) - 1)
    end
    return removed, rest
  end

  function M.remove_from_companions(keys, ids)
    M.chunk_work = M.chunk_work + NO_BOUND
    for first = KEYS_OF_TIMELINE + 1, #keys, KEYS_OF_TIMELINE do
      local companion = M.companion_of(keys, first)
      local t = M.prepare(companion)
      M.remove_ids(t, ids)
      M.save(companion, t)
    end
    M.chunk_work = M.chunk_work - NO_BOUND
  end

  -- Returns how many entries were dropped, and whether more are to be dropped. Entries without payloads and companions are
  -- dropped together; the others are read, and a script drops as many of them as its budget allows.
  function M.drop_oldest(keys, t, length)
    local surplus = t.size - length
    if surplus <= 0 then
      return 0, false
    end
    if #keys <= KEYS_OF_TIMELINE and not (t.has_payloads and t.is_hashed) then
      M.drop_payloads(t, surplus)
      M.drop(t, surplus)
      return surplus, false
    end
    if budget <= 0 then
      return 0, true
    end
    -- A companion drops the entries that its timeline drops.
    local weight = math.max(1, floor(#keys / KEYS_OF_TIMELINE))
    local count = math.min(surplus, math.max(1, floor(budget / weight)))
    budget = budget - count * weight
    M.remove_from_companions(keys, M.ids_in(M.read(t, 0, count)))
    M.drop_payloads(t, count)
    M.drop(t, count)
    return count, count < surplus
  end
end

-- Ends the script's writes.
local function finish()
  if M.finish_writes then
    M.finish_writes()
  end
end
