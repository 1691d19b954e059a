-- The kinds of writes that each reach one timeline, and deliveries, which reach its companions too.
--
-- A write may need the side key of a timeline that has one, or gets one, and the script did not declare the key; or it may need
-- to replace the side key. Then the script does not carry it out, and {'AGAIN', 0} stands in place of its count. {'TRIM', count}
-- stands there if the write has more entries to drop than a script may, and {'REST', count, position} if the ids from that
-- position on are to be written again.
local function define_single()
  if M.add then
    return
  end
  M.define_steps()
  local function check_timeline(keys, length, count)
    if not check_type(keys[1], 'hash') then
      return true
    end
    local t = M.load(keys)
    if refusal or damage then
      return true
    end
    if length and length >= 0 and ((t.has_payloads and t.is_hashed) or #keys > KEYS_OF_TIMELINE) then
      dropping = dropping + math.max(0, t.size - length)
    end
    local can_write = keys[3] or not (count and M.needs_side(t, count) or M.has_side(t))
    can_write = can_write and not M.needs_replacement(t, count or 0)
    for first = KEYS_OF_TIMELINE + 1, #keys, KEYS_OF_TIMELINE do
      can_write = check_timeline(M.companion_of(keys, first), nil, count) and can_write
    end
    return can_write
  end

  local function is_unreachable(keys)
    for first = 2, #keys, KEYS_OF_TIMELINE do
      if unfinished[keys[first]] then
        return true
      end
    end
    local t = states[keys[2]]
    return t and not t.side and M.has_side(t)
  end

  -- Later writes of the timeline and of its companions are carried out after this write.
  local function leave(keys)
    for first = 2, #keys, KEYS_OF_TIMELINE do
      unfinished[keys[first]] = true
    end
  end

  local function timeline_kind(check, carry_out)
    return {check, function(keys, ...)
      if is_unreachable(keys) then
        leave(keys)
        return {AGAIN, 0}
      end
      local count, is_unfinished, rest = carry_out(keys, M.prepare(keys), ...)
      if is_unfinished or rest then
        leave(keys)
        return rest and {REST, count, rest - 1} or {TRIM, count}
      end
      return count
    end}
  end

  local function check_added(keys, item, length)
    return check_timeline(keys, length, #items[item][1])
  end

  local function check_removed(keys)
    return check_timeline(keys)
  end

  function M.add(keys, t, item, length)
    local added, rest = M.add_ids(t, items[item][1], items[item][2])
    local is_unfinished = false
    if length >= 0 and not rest then
      local _, more = M.drop_oldest(keys, t, length)
      is_unfinished = more
    end
    M.save(keys, t)
    return added, is_unfinished, rest
  end

  kinds.add = timeline_kind(check_added, M.add)

  kinds.remove = timeline_kind(check_removed, function(keys, t, item)
    local removed, rest = M.remove_ids(t, items[item][1])
    M.save(keys, t)
    return removed, false, rest
  end)

  kinds.trim = timeline_kind(check_timeline, function(keys, t, length)
    local dropped, is_unfinished = M.drop_oldest(keys, t, length)
    M.save(keys, t)
    return dropped, is_unfinished
  end)

  -- Drops the rest of the entries that an add has to drop.
  kinds.finish = kinds.trim

  -- Returns how many payloads a delivery reads to find those that are equal. The server searches a list.
  local function size_to_read(keys, most)
    local t = states[keys[2]]
    return most >= 0 and t and t.has_payloads and t.is_hashed and t.size > most and t.size or 0
  end

  -- Returns how many payloads a delivery reads, and how many entries with a payload in a hash a delivery with slack drops.
  local function cost_of(keys, item, most, length, slack)
    if slack == 0 then
      return size_to_read(keys, most), 0
    end
    local t = states[keys[2]]
    local size = t and t.has_payloads and t.size + #items[item][1] or 0
    if size <= length + slack then
      return 0, 0
    end
    return most >= 0 and size or 0, t.is_hashed and size - length or 0
  end

  local function check_delivered(keys, item, most, length, slack)
    local can_write = check_timeline(keys, slack == 0 and length, #items[item][1])
    if refusal then
      return true
    end
    local size, surplus = cost_of(keys, item, most, length, slack)
    if slack == 0 then
      reading = reading + size
    elseif surplus > MOST_DROPPED_ATOMICALLY then
      dropping = dropping + surplus
    end
    if size > MOST_READ_OF_ONE and not large then
      large = size .. ' ' .. keys[2]
    end
    return can_write
  end

  -- Adds entries, and those of them that are new to the companions too. Returns how many were new.
  local function add_with_companions(keys, state, ids, data)
    if #keys == KEYS_OF_TIMELINE then
      return M.add_ids(state, ids, data)
    end
    local new_ids, new_data, is_new = {}, data and {}, {}
    local _, rest = M.add_ids(state, ids, data, is_new)
    for i = 1, #ids do
      if is_new[i] then
        new_ids[#new_ids + 1] = ids[i]
        if data then
          new_data[#new_ids] = data[i]
        end
      end
    end
    if #new_ids > 0 then
      M.chunk_work = M.chunk_work + NO_BOUND
      for first = KEYS_OF_TIMELINE + 1, #keys, KEYS_OF_TIMELINE do
        local companion = M.companion_of(keys, first)
        local other = M.prepare(companion)
        M.add_ids(other, new_ids, new_data)
        M.save(companion, other)
      end
      M.chunk_work = M.chunk_work - NO_BOUND
    end
    return #new_ids, rest
  end

  -- Removes the entries beyond the newest `most` of those that share one of the payloads. Returns their ids.
  local function remove_beyond(t, most, data)
    local groups, beyond = {}, {}
    for _, payload in ipairs(data) do
      if payload ~= '' then
        groups[payload] = groups[payload] or {}
      end
    end
    if not t.is_hashed then
      return next(groups) and M.remove_beyond(t, most, groups) or {}
    end
    local all = next(groups) and call('HGETALL', t.side) or {}
    for i = 1, #all, 2 do
      local group = #all[i] == BYTES and groups[all[i + 1]]
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
    table.sort(beyond, is_less)
    M.chunk_work = M.chunk_work + NO_BOUND
    M.remove_ids(t, beyond)
    M.chunk_work = M.chunk_work - NO_BOUND
    return beyond
  end

  -- Applies the limit by payload to all payloads of a timeline that has some.
  local function limit_all(t, most)
    if not t.is_hashed then
      M.limit_list(t, most)
      return
    end
    local all, payloads = call('HGETALL', t.side), {}
    for i = 1, #all, 2 do
      payloads[#payloads + 1] = #all[i] == BYTES and all[i + 1] or ''
    end
    remove_beyond(t, most, payloads)
  end

  local deliver = timeline_kind(check_delivered, function(keys, state, item, most, length, slack)
    local ids, data = items[item][1], items[item][2]
    local added, rest = add_with_companions(keys, state, ids, data)
    if slack > 0 then
      if state.size <= length + slack then
        length = -1
      elseif most >= 0 and state.has_payloads then
        limit_all(state, most)
      end
      most = -1
    end
    if data and most >= 0 and state.has_payloads and state.size > most then
      local beyond = remove_beyond(state, most, data)
      if #beyond > 0 then
        M.remove_from_companions(keys, beyond)
      end
    end
    local is_unfinished = false
    if length >= 0 and not rest then
      local _, more = M.drop_oldest(keys, state, length)
      is_unfinished = more
    end
    M.save(keys, state)
    return added, is_unfinished, rest
  end)

  -- A script reads so many payloads and no more: the deliveries after that are sent again. Those of an atomic batch that have
  -- slack leave the limits to a later delivery.
  local already_dropped = 0
  kinds.deliver = {deliver[1], function(keys, item, most, length, slack)
    local size, surplus = cost_of(keys, item, most, length, slack)
    local read, dropped = M.payloads_read + size, already_dropped + surplus
    if is_atomic and slack > 0 and (read > MOST_READ_ATOMICALLY or dropped > MOST_DROPPED_ATOMICALLY) then
      return deliver[2](keys, item, most, length, NO_BOUND)
    end
    if not is_atomic and M.payloads_read > 0 and read > MOST_READ then
      leave(keys)
      return {AGAIN, 0}
    end
    M.payloads_read, already_dropped = read, dropped
    return deliver[2](keys, item, most, length, slack)
  end}

  -- A timeline whose state is damaged can be deleted.
  local function check_deleted(keys)
    if not check_type(keys[1], 'hash') then
      return true
    end
    local raw = call('HGET', keys[1], keys[2])
    if not check_type(keys[2], 'string') then
      return true
    end
    return keys[3] or raw ~= '1'
  end

  kinds.delete = {check_deleted, function(keys)
    local t = states[keys[2]]
    if unfinished[keys[2]] or (t and not keys[3] and M.has_side(t)) then
      return {AGAIN, 0}
    end
    for i = 2, #keys do
      M.delete_key(keys[i])
    end
    M.list(keys[1], keys[2], false)
    M.blank(keys[2], keys[3])
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
        if state == '1' then
          -- The directory is ...d, and the timeline ...t:key with its side key at ...p:key.
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
    local prefix = #keys[1] - 1
    local sides = {}
    for i = timelines + 2, #keys do
      M.delete_key(keys[i])
      sides[sub(keys[i], prefix + 2)] = keys[i]
    end
    for i = 2, timelines + 1 do
      M.delete_key(keys[i])
      M.list(keys[1], keys[i], false)
      M.blank(keys[i], sides[sub(keys[i], prefix + 2)])
      unfinished[keys[i]] = nil
    end
    return 0
  end}
end
