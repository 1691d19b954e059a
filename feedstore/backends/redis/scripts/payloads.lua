-- The payloads of timelines. A timeline without chunks has a list of them, in the order of its entries; '' stands for no
-- payload. A timeline with chunks has them in its side hash: id -> payload.
--
-- If the type of the side key changes, the key is deleted and made again. On a Cluster such a script declares a key that never
-- exists, so that it does not run while the slot moves.
function M.define_payloads()
  if M.keep_payloads then
    return
  end
  local function is_listed(t)
    return t.has_payloads and not t.is_hashed
  end

  local function push(t, values)
    return in_chunks(values, function(...) return call('RPUSH', t.side, ...) end)
  end

  -- Replaces the list. It is never empty in between.
  local function put_list(t, values)
    deleted[t.side] = nil
    local before = 0
    if call('TYPE', t.side).ok == 'hash' then
      call('UNLINK', t.side)
    else
      before = call('LLEN', t.side)
    end
    push(t, values)
    if before > 0 then
      call('LTRIM', t.side, string.format('%d', before), '-1')
    end
  end

  local function end_of(t, position)
    return call('LRANGE', t.side, string.format('%d', position), '-1')
  end

  -- Replaces the end of the list, from a position on.
  local function put_end(t, position, values)
    if position == 0 then
      put_list(t, values)
      return
    end
    call('LTRIM', t.side, '0', string.format('%d', position - 1))
    push(t, values)
  end

  local function blanks(count)
    local values = {}
    for i = 1, count do
      values[i] = ''
    end
    return values
  end

  -- Puts the payloads of ids, which were added to the timeline, into the list, which has `before` payloads.
  local function place(t, ids, data, is_new, before)
    local first = M.find(t, ids[1])
    if is_new[1] and first == before and t.size - before == #ids then
      push(t, data)
      return
    end
    if #ids == 1 and not is_new[1] then
      call('LSET', t.side, string.format('%d', first), data[1])
      return
    end
    local old, values, taken = end_of(t, first), {}, 0
    if #ids == 1 then
      table.insert(old, 1, data[1])
      put_end(t, first, old)
      return
    end
    local next, i = first, 1
    for position = first, t.size - 1 do
      local is_given = position == next
      if not is_given or not is_new[i] then
        taken = taken + 1
      end
      values[#values + 1] = is_given and data[i] or old[taken]
      if is_given then
        i = i + 1
        next = i <= #ids and M.find(t, ids[i]) or t.size
      end
    end
    put_end(t, first, values)
  end

  local function has_some(data)
    for i = 1, #data do
      if data[i] ~= '' then
        return true
      end
    end
    return false
  end

  local function keep_in_list(t, ids, data, is_new, added)
    local before = t.size - added
    if t.has_payloads then
      place(t, ids, data or blanks(#ids), is_new, before)
    elseif has_some(data) then
      t.has_payloads = true
      put_list(t, before > 0 and blanks(before) or data)
      if before > 0 then
        place(t, ids, data, is_new, before)
      end
    end
  end

  local function keep_in_hash(t, ids, data, last)
    local present, absent = {}, {}
    for i = 1, last do
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

  -- Keeps the payloads of ids that were added, as many as were new.
  function M.keep_payloads(t, ids, data, is_new, added, rest)
    if t.is_hashed then
      keep_in_hash(t, ids, data, (rest or #ids + 1) - 1)
    else
      keep_in_list(t, ids, data, is_new, added)
    end
  end

  -- Removes the payloads of ids that are to be removed from the list.
  local function remove_from_list(t, ids)
    local places = {}
    for i = 1, #ids do
      local position, is_there = M.find(t, ids[i])
      if is_there then
        places[#places + 1] = position
      end
    end
    -- The list of a timeline that becomes empty is deleted.
    if #places == 0 or #places == t.size then
      return
    end
    local first = places[1]
    local old, values, i = end_of(t, first), {}, 1
    for j = 1, #old do
      if places[i] == first + j - 1 then
        i = i + 1
      else
        values[#values + 1] = old[j]
      end
    end
    put_end(t, first, values)
  end

  -- Removes the payloads of ids that are to be removed.
  function M.remove_payloads(t, ids, last)
    if is_listed(t) then
      remove_from_list(t, ids)
    elseif t.has_payloads then
      local removed = {}
      for i = 1, last or #ids do
        removed[i] = ids[i]
      end
      M.delete_fields(t, removed)
    end
  end

  -- Removes the payloads of the oldest entries, as many as are to be dropped.
  function M.drop_payloads(t, count)
    if is_listed(t) then
      if count < t.size then
        call('LTRIM', t.side, string.format('%d', count), '-1')
      end
    elseif t.has_payloads then
      M.delete_fields(t, M.ids_in(M.read(t, 0, count)))
    end
  end

  -- Removes the entries beyond the newest `most` of those that share one of the payloads. Returns their ids.
  function M.remove_beyond(t, most, payloads)
    local beyond, positions, counts = {}, {}, {}
    for payload in pairs(payloads) do
      local places = call('LPOS', t.side, payload, 'RANK', string.format('%d', -most - 1), 'COUNT', '0')
      counts[payload] = #places
      for i = 1, #places do
        positions[#positions + 1] = places[i]
      end
    end
    for payload, count in pairs(counts) do
      if count > 0 then
        call('LREM', t.side, string.format('%d', count), payload)
      end
    end
    table.sort(positions)
    for i = 1, #positions do
      beyond[i] = M.read(t, positions[i], positions[i] + 1)
    end
    if #positions > 0 and not M.remove_early(t, positions) then
      M.remove_records(t, beyond)
    end
    return beyond
  end

  -- Keeps the newest `most` entries of each payload of a timeline without chunks.
  function M.limit_list(t, most)
    local values, counts, is_beyond = end_of(t, 0), {}, {}
    for i = #values, 1, -1 do
      local payload = values[i]
      local count = (counts[payload] or 0) + 1
      counts[payload] = count
      if count > most and payload ~= '' then
        is_beyond[i] = true
      end
    end
    if not next(is_beyond) then
      return
    end
    local kept, parts, records, from = {}, {M.floor_of(t)}, M.read(t, 0, t.size), 1
    for i = 1, #values + 1 do
      if is_beyond[i] or i > #values then
        parts[#parts + 1] = sub(records, from * BYTES - BYTES + 1, i * BYTES - BYTES)
        from = i + 1
      else
        kept[#kept + 1] = values[i]
      end
    end
    put_list(t, kept)
    t.size = #kept
    M.put_string(t, table.concat(parts))
  end

  -- Moves the payloads from the list to the hash of a timeline that is to have chunks.
  function M.move_to_hash(t)
    if is_listed(t) then
      local ids, values, fields = M.ids_in(M.read(t, 0, t.size)), end_of(t, 0), {}
      for i = 1, #ids do
        if values[i] ~= '' then
          fields[#fields + 1] = ids[i]
          fields[#fields + 1] = values[i]
        end
      end
      call('UNLINK', t.side)
      M.set_fields(t, fields)
      t.has_payloads = #fields > 0
    end
    t.is_hashed = true
  end

  -- Moves the payloads of a timeline that has no chunks any more from the hash to a list.
  function M.move_to_list(t)
    t.is_hashed = false
    if t.has_payloads then
      local ids, values = M.ids_in(M.read(t, 0, t.size)), {}
      for i = 1, #ids do
        values[i] = call('HGET', t.side, ids[i]) or ''
      end
      t.has_payloads = has_some(values)
      if t.has_payloads then
        put_list(t, values)
        return
      end
    end
    M.delete_key(t.side)
  end
end
