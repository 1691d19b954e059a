-- The kinds of writes that each reach one timeline, and deliveries, which reach its companions too.
--
-- A write may need a key that is not among its keys: the payloads of a timeline that has some. Then it is not carried out,
-- and {'AGAIN', 0} stands in place of its count. {'TRIM', count} stands there if more entries are to be dropped after it
-- than a script may.
local add

local function define_single()
  if add then
    return
  end
  define_steps()
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
    for first = KEYS_OF_TIMELINE + 1, #keys, KEYS_OF_TIMELINE do
      check_timeline(companion_of(keys, first))
    end
    return keys[3] or not state.has_payloads
  end

  local function is_unreachable(keys)
    for first = 2, #keys, KEYS_OF_TIMELINE do
      if unfinished[keys[first]] then
        return true
      end
    end
    local state = states[keys[2]]
    return state and state.has_payloads and not keys[3]
  end

  local function timeline_kind(check, carry_out)
    return {check, function(keys, ...)
      if is_unreachable(keys) then
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

  function add(keys, state, item, length)
    local added = add_ids(keys, state, items[item][1], items[item][2])
    local is_unfinished = false
    if length >= 0 then
      local _, more = drop_oldest(keys, state, length)
      is_unfinished = more
    end
    save(keys, state)
    return added, is_unfinished
  end

  kinds.add = timeline_kind(check_added, add)

  kinds.remove = timeline_kind(check_removed, function(keys, state, item)
    local removed = remove_ids(keys, state, items[item][1])
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

  -- Returns how many payloads a delivery reads to find those that are equal.
  local function size_to_read(keys, most)
    local state = states[keys[2]]
    local size = most >= 0 and state and state.has_payloads and call('HLEN', keys[3]) or 0
    return size > most and size or 0
  end

  local function check_delivered(keys, _, most, length)
    local can_write = check_timeline(keys, length)
    if refusal then
      return true
    end
    local size = size_to_read(keys, most)
    reading = reading + size
    if size > MOST_READ_OF_ONE and not large then
      large = size .. ' ' .. keys[2]
    end
    return can_write
  end

  -- Adds entries, and those of them that are new to the companions too. Returns how many were new.
  local function add_with_companions(keys, state, ids, data)
    if #keys == KEYS_OF_TIMELINE then
      return add_ids(keys, state, ids, data)
    end
    local new_ids, new_data = {}, data and {}
    for i = 1, #ids do
      if call('ZADD', keys[2], ZERO, ids[i]) == 1 then
        new_ids[#new_ids + 1] = ids[i]
        if data then
          new_data[#new_ids] = data[i]
        end
      end
    end
    keep_payloads(keys[3], state, ids, data)
    if #new_ids > 0 then
      for first = KEYS_OF_TIMELINE + 1, #keys, KEYS_OF_TIMELINE do
        local companion = companion_of(keys, first)
        local other = prepare(companion)
        add_ids(companion, other, new_ids, new_data)
        save(companion, other)
      end
    end
    return #new_ids
  end

  -- Returns the ids beyond the newest `most` of those that share one of the payloads.
  local function ids_beyond(most, payloads, data)
    local groups, beyond = {}, {}
    for _, payload in ipairs(data) do
      if payload ~= '' then
        groups[payload] = groups[payload] or {}
      end
    end
    local all = next(groups) and call('HGETALL', payloads) or {}
    for i = 1, #all, 2 do
      local group = groups[all[i + 1]]
      if group then
        group[#group + 1] = all[i]
      end
    end
    for _, group in pairs(groups) do
      if #group > most then
        table.sort(group, function(one, other) return is_less(other, one) end)
        for i = most + 1, #group do
          beyond[#beyond + 1] = group[i]
        end
      end
    end
    return beyond
  end

  local deliver = timeline_kind(check_delivered, function(keys, state, item, most, length)
    local ids, data = items[item][1], items[item][2]
    local added = add_with_companions(keys, state, ids, data)
    if data and size_to_read(keys, most) > 0 then
      local beyond = ids_beyond(most, keys[3], data)
      if #beyond > 0 then
        remove_ids(keys, state, beyond)
        remove_from_companions(keys, beyond)
      end
    end
    local is_unfinished = false
    if length >= 0 then
      local _, more = drop_oldest(keys, state, length)
      is_unfinished = more
    end
    save(keys, state)
    return added, is_unfinished
  end)

  -- A script reads so many payloads and no more: the deliveries after that are sent again.
  local already_read = 0
  kinds.deliver = {deliver[1], function(keys, item, most, length)
    local size = size_to_read(keys, most)
    if not is_atomic and already_read > 0 and already_read + size > MOST_READ then
      for first = 2, #keys, KEYS_OF_TIMELINE do
        unfinished[keys[first]] = true
      end
      return {AGAIN, 0}
    end
    already_read = already_read + size
    return deliver[2](keys, item, most, length)
  end}

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
    states[keys[2]], known[keys[2]] = nil, false
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
          -- The directory is ...d, and the timeline ...t:key with its payloads at ...p:key.
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
      states[keys[i]], unfinished[keys[i]], known[keys[i]] = nil, nil, false
    end
    return 0
  end}
end

