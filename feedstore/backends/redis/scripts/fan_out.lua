-- The kind of write that adds ids to many timelines and trims each. Timelines that have no payloads, and whose floor is
-- their oldest entry or none, take a way of few calls: ZADD, ZREMRANGEBYRANK, and for each directory one read of all states
-- and at most one write of those that changed. Where as many entries went as came, those that went were the oldest, and
-- those that stay are newer: the oldest entry is still the floor. The other timelines are written one by one.
--
-- The keys of a fan-out are the directories, then the timelines of each. Its arguments are the item of all timelines or a
-- list with one for each, whose ids are sorted, oldest first; the greatest length (-1: none); and how many timelines each
-- directory has. {'PART', count, AGAIN, TRIM} stands in place of its count if something is left to do: AGAIN holds the
-- positions of the timelines that have payloads, TRIM those from which more entries are to be dropped than a script may.
local function define_fan_out()
  local NO_FLOOR = '0'
  -- ZDIFF of a key and itself reads no entry, and refuses keys of another type before the first write. Servers before 6.2
  -- have no ZDIFF, and a call for each key.
  local CHECKED_PER_CALL = 50
  -- Timelines may hold far more entries than the length: so many may be dropped here. Timelines are asked for their length
  -- where they were never trimmed, and as long as the one before dropped more than came.
  local fan_out_budget, is_checked = 5000, not is_atomic

  -- ZADD and ZCARD refuse a plain set, which ZDIFF takes for a sorted one. Any other refusal (a server that is full, or
  -- became a replica) is passed on.
  local function refuse(answer, timeline)
    refusal = refusal or (string.find(answer.err, 'WRONGTYPE', 1, true) and 'WRONGTYPE ' .. timeline .. ': ' or '') .. answer.err
  end

  local function check_types(keys, first, last)
    local answer = pcall('ZDIFF', last - first + 2, keys[first], unpack(keys, first, last))
    if not answer.err then
      return
    end
    if not string.find(answer.err, 'Unknown', 1, true) then
      refusal = refusal or answer.err
      return
    end
    for i = first, last do
      check_type(keys[i], 'zset')
    end
  end

  -- An atomic batch must know before its first write how many entries it drops.
  local function check_lengths(keys, first, length)
    for i = first, #keys do
      local size = pcall('ZCARD', keys[i])
      if type(size) ~= 'number' then
        return refuse(size, keys[i])
      end
      dropping = dropping + math.max(0, size - length)
    end
  end

  local function check_fan_out(keys, _, length, sizes)
    local position, has_payloads = #sizes, false
    if is_atomic then
      check_lengths(keys, position + 1, length < 0 and math.huge or length)
    else
      for first = position + 1, #keys, CHECKED_PER_CALL do
        check_types(keys, first, math.min(first + CHECKED_PER_CALL - 1, #keys))
      end
    end
    for group = 1, #sizes do
      local found = call('HMGET', keys[group], unpack(keys, position + 1, position + sizes[group]))
      for i = 1, #found do
        local state, timeline = found[i], keys[position + i]
        if state and state ~= OLDEST_IS_FLOOR and state ~= NO_FLOOR then
          if is_damaged(state) then
            damage = timeline
          end
          has_payloads = has_payloads or string.byte(state) == WITH_PAYLOADS
        end
        known[timeline] = state
      end
      position = position + sizes[group]
    end
    return not (is_atomic and has_payloads)
  end

  local prepared = {}

  -- An item as a fan-out uses it: its ids, the arguments of ZADD.
  local function prepared_item(item)
    local found = prepared[item]
    if not found then
      found = {item = item, ids = items[item][1], arguments = scored(items[item][1])}
      prepared[item] = found
    end
    return found
  end

  -- The state of a timeline in which other than as many entries were dropped as came, or that had no implicit floor.
  local function state_after(timeline, state, ids, oldest, added, dropped)
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

  local function is_short_enough(timeline, state, length)
    if length < 0 or not (is_checked or (state ~= OLDEST_IS_FLOOR and not is_atomic)) then
      return true
    end
    local size = pcall('ZCARD', timeline)
    if type(size) ~= 'number' then
      refuse(size, timeline)
      return false
    end
    is_checked = size > length
    return size - length <= fan_out_budget
  end

  -- Adds to a timeline in few calls. Returns how many entries were new, and the state after it.
  local function add_fast(timeline, state, given, length, last_surplus)
    local ids = given.ids
    -- Of more than one id, some may be late, and others may be there already: then it takes the oldest entry before the add
    -- to know which floor holds after it.
    local oldest = #ids > 1 and state == OLDEST_IS_FLOOR and call('ZRANGE', timeline, ZERO, ZERO)[1]
    local added = pcall('ZADD', timeline, unpack(given.arguments))
    if type(added) ~= 'number' then
      refuse(added, timeline)
      return 0, state
    end
    local dropped = length < 0 and 0 or call('ZREMRANGEBYRANK', timeline, ZERO, last_surplus)
    if dropped > #ids then
      fan_out_budget = fan_out_budget - dropped
      is_checked = not is_atomic
    end
    if expiry > 0 then
      call('PEXPIRE', timeline, expiry)
    end
    if added ~= dropped or state ~= OLDEST_IS_FLOOR then
      return added, state_after(timeline, state, ids, oldest, added, dropped)
    end
    return added, state
  end

  -- Adds to a timeline as a write of its own. Returns how many entries were new, and whether it is to be written 'again'
  -- with its payloads, or more of it is to be dropped ('trim').
  local function add_slowly(directory, timeline, item, length)
    local keys = {directory, timeline}
    define_single()
    local state = load(keys)
    if unfinished[timeline] or state.has_payloads then
      unfinished[timeline] = true
      return 0, AGAIN
    end
    local added, is_unfinished = add(keys, prepare(keys), item, length)
    unfinished[timeline] = is_unfinished
    return added, is_unfinished and TRIM
  end

  kinds.fan_out = {check_fan_out, function(keys, given, length, sizes)
    local position, total, last_surplus = #sizes, 0, string.format('%d', -(length + 1))
    local left, is_left = {[AGAIN] = {}, [TRIM] = {}}, false
    local same = type(given) == 'number' and prepared_item(given)
    for group = 1, #sizes do
      local directory, changed = keys[group], {}
      for i = position + 1, position + sizes[group] do
        local timeline = keys[i]
        local state, item = known[timeline], same or prepared_item(given[i - #sizes])
        local is_plain = not state or state == OLDEST_IS_FLOOR or state == NO_FLOOR
        if is_plain and not states[timeline] and not unfinished[timeline] and is_short_enough(timeline, state, length) then
          local added, after = add_fast(timeline, state, item, length, last_surplus)
          total = total + added
          if after ~= state then
            changed[#changed + 1] = timeline
            changed[#changed + 1] = after
            known[timeline] = after
          end
        elseif not refusal then
          local added, rest = add_slowly(directory, timeline, item.item, length)
          total = total + added
          if rest then
            is_left = true
            table.insert(left[rest], i - #sizes - 1)
          end
        end
        if refusal then
          break
        end
      end
      if #changed > 0 then
        in_chunks(changed, function(...) return call('HSET', directory, ...) end)
      end
      if refusal then
        return total
      end
      position = position + sizes[group]
    end
    return is_left and {PART, total, left[AGAIN], left[TRIM]} or total
  end}
end

