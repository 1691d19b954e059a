-- The steps that change the strings of timelines: they merge ids into records, cut ids out, and drop the oldest.

function M.define_strings()
  if M.written then
    return
  end
  local MOST_RANGES, MOST_KNOWN = 8, 64

  -- Returns sorted records without the sorted ids from `first` to `last`, and how many of these were there.
  function M.cut(records, low, ids, first, last)
    local parts, from, count = {}, 0, 0
    for i = first, last do
      -- Ids that follow each other are found without a search.
      local at, is_there = low, record(records, low) == ids[i]
      if not is_there then
        at, is_there = search(records, ids[i], low)
      end
      if is_there then
        if at > from then
          parts[#parts + 1] = sub(records, from * BYTES + 1, at * BYTES)
        end
        from, count, at = at + 1, count + 1, at + 1
      end
      low = at
    end
    parts[#parts + 1] = sub(records, from * BYTES + 1)
    return table.concat(parts), count
  end

  function M.spliced(text, at, length, replacement)
    return sub(text, 1, at) .. replacement .. sub(text, at + length + 1)
  end

  -- Forgets the chunks, whose fields are deleted.
  function M.forget_chunks(t)
    t.older, t.root, t.blocks, t.changed_blocks, t.is_root_changed = 0, nil, nil, nil, false
  end

  -- Makes records the whole string.
  function M.put_string(t, records)
    t.base, t.tail, t.held, t.is_whole, t.is_waste = 0, records, #records / BYTES, true, false
  end

  -- Returns how many of the sorted ids are older than the string, and the position of the first that is not.
  local function count_older(t, ids)
    if t.size <= t.held then
      return 0
    end
    local oldest = M.read_string(t, 0, 1)
    local low, high = 0, #ids
    while low < high do
      local middle = floor((low + high) / 2)
      if is_less(ids[middle + 1], oldest) then
        low = middle + 1
      else
        high = middle
      end
    end
    return low
  end

  -- Notes whether an id that becomes the oldest entry is older than the floor.
  function M.note_late(t, id)
    local before = M.floor_of(t)
    t.is_late = t.is_late or (before ~= '' and is_less(id, before))
  end

  -- Returns the position in the string of the oldest id that a new string keeps: of those that were trimmed, the floor alone.
  function M.first_kept(t)
    if t.older > 0 then
      return 0
    end
    return t.is_waste and t.held - t.size or math.max(t.held - t.size - 1, 0)
  end

  local function flags_of(t)
    return (t.has_payloads and PAYLOADS or 0) + (t.is_late and LATE or 0) + (t.is_waste and WASTE or 0)
  end

  -- Keeps the known end of a string short, given the bytes that end the string.
  local function remember(t, text)
    t.tail = #text > MOST_KNOWN * BYTES and sub(text, -NEWEST_READ * BYTES) or text
    t.base = t.held - #t.tail / BYTES
  end

  -- Writes one id in front of a position, and moves the ids from there on.
  local function insert(t, position, id)
    local rest = M.read_string(t, position, t.held)
    t.held, t.size = t.held + 1, t.size + 1
    t.trailer = trailer_of(t.held, t.older, t.size, flags_of(t))
    if position < t.base then
      -- To join long strings takes longer than two more calls.
      write_at(t.key, position + 1, rest)
      write_at(t.key, position, id)
      write_at(t.key, t.held, t.trailer)
      t.base = t.base + 1
    else
      local text = id .. rest
      write_at(t.key, position, text .. t.trailer)
      remember(t, sub(t.tail, 1, (position - t.base) * BYTES) .. text)
    end
  end

  local function add_to_string(t, ids, first, is_new)
    if t.is_whole and not t.is_missing then
      M.reach(t, 0)
    end
    local position, is_there = M.position_of(t, ids[first])
    if first == #ids and not t.is_whole then
      if is_there then
        return 0
      end
      is_new[first] = true
      if position == t.held - t.size then
        M.note_late(t, ids[first])
      end
      insert(t, position, ids[first])
      return 1
    end
    M.reach(t, position)
    local parts, added, start = merged(t.tail, position - t.base, t.held - t.base, ids, first, #ids, is_new)
    if added == 0 then
      return 0
    end
    start = t.base + start
    if start == t.held - t.size then
      M.note_late(t, parts[1])
    end
    t.held, t.size = t.held + added, t.size + added
    if t.is_whole then
      t.tail = sub(t.tail, 1, start * BYTES) .. table.concat(parts)
      return added
    end
    t.trailer = trailer_of(t.held, t.older, t.size, flags_of(t))
    parts[#parts + 1] = t.trailer
    local text = table.concat(parts)
    write_at(t.key, start, text)
    remember(t, sub(text, 1, -BYTES - 1))
    return added
  end

  -- Adds sorted ids. Returns how many were new, and the position of the first id that remains, if the script has changed as
  -- many chunks as it may.
  function M.add_records(t, ids, is_new)
    local count, added, rest = count_older(t, ids), 0, nil
    if count > 0 then
      added, rest = M.add_to_chunks(t, ids, count, is_new)
    end
    if count < #ids and not rest then
      added = added + add_to_string(t, ids, count + 1, is_new)
    end
    return added, rest
  end

  -- Returns the ranges of positions that remain of a string without sorted ids, each as its first and its last position, and the
  -- positions of the ids among the entries. Of the ids that were trimmed, the floor alone remains.
  local function ranges_without(t, ids, first)
    local from, positions, ranges = M.first_kept(t), {}, {}
    for i = first, #ids do
      local position, is_there = M.position_of(t, ids[i])
      if is_there then
        ranges[#ranges + 1] = from
        ranges[#ranges + 1] = position
        positions[#positions + 1] = position - math.max(t.held - t.size, 0)
        from = position + 1
      end
    end
    ranges[#ranges + 1] = from
    ranges[#ranges + 1] = t.held
    return ranges, positions
  end

  local function remove_from_string(t, ids, first)
    if #ids - first < MOST_RANGES and not t.is_whole then
      local ranges, positions = ranges_without(t, ids, first)
      local removed = #positions
      if removed > 0 and not M.remove_early(t, positions) then
        local total = 0
        for i = 1, #ranges, 2 do
          total = total + ranges[i + 1] - ranges[i]
        end
        t.size, t.held = t.size - removed, total
        t.trailer = trailer_of(t.held, t.older, t.size, flags_of(t))
        rewrite(t.key, ranges, t.trailer)
        t.tail, t.base = '', t.held
        M.reach(t, math.max(t.held - NEWEST_READ, 0))
      end
      return removed
    end
    local position = M.position_of(t, ids[first])
    M.reach(t, position)
    local after, removed = M.cut(t.tail, position - t.base, ids, first, #ids)
    if removed > 0 then
      t.tail, t.held, t.size, t.is_whole = after, t.held - removed, t.size - removed, true
    end
    return removed
  end

  -- Removes the ids at sorted positions among the entries of a timeline without chunks, if they are few and old: the older
  -- entries move up, and the room of one id is wasted. Returns whether it has done so.
  function M.remove_early(t, positions)
    -- A timeline without a floor and payloads has no waste, because a fan-out to it would take longer.
    local may_waste = t.held > t.size or t.has_payloads
    local are_few = #positions == 1 or (#positions <= MOST_RANGES and positions[#positions] * 2 <= t.size)
    if not may_waste or not are_few or t.older > 0 or t.is_whole then
      return false
    end
    local low = t.held - t.size
    for i = 1, #positions do
      local position = low + positions[i]
      -- The floor moves too. Without one, the ids in front are waste.
      local is_floor = t.held > t.size and not t.is_waste
      local first = t.held - t.size - (is_floor and 1 or 0)
      if position > first then
        write_at(t.key, first + 1, M.read_string(t, first, position))
      end
      if position >= t.base then
        t.base, t.tail = t.held, ''
      end
      t.size, t.is_waste = t.size - 1, not is_floor
    end
    return true
  end

  -- Removes sorted ids. Returns how many were there, and the position of the first id that remains.
  function M.remove_records(t, ids)
    if t.size == 0 then
      return 0
    end
    local count, removed, rest = count_older(t, ids), 0, nil
    if count > 0 then
      removed, rest = M.remove_from_chunks(t, ids, count)
    end
    if count < #ids and not rest then
      removed = removed + remove_from_string(t, ids, count + 1)
    end
    return removed, rest
  end

  -- Makes an id the floor.
  local function put_floor(t, id)
    local position = trimmed(t) - 1
    if position >= t.older then
      position = position - t.older
      if t.is_whole then
        M.reach(t, position)
      else
        write_at(t.key, position, id)
      end
      if position >= t.base then
        t.tail = M.spliced(t.tail, (position - t.base) * BYTES, BYTES, id)
      end
      return
    end
    M.put_floor_in_chunk(t, id, position)
  end

  -- Drops the oldest entries.
  function M.drop(t, count)
    if not t.is_late then
      t.size, t.is_waste = t.size - count, false
      return
    end
    local before, newest = M.floor_of(t), M.read(t, count - 1, count)
    t.size = t.size - count
    if is_less(newest, before) then
      put_floor(t, before)
    end
    t.is_late = t.size > 0 and is_less(M.read(t, 0, 1), M.floor_of(t))
  end

  local function write_string(t)
    local first = M.first_kept(t)
    if t.is_whole then
      -- Of the ids that were trimmed, the floor alone is kept.
      M.put_string(t, M.read_string(t, first, t.held))
      t.trailer = trailer_of(t.held, t.older, t.size, flags_of(t))
      store(t.key, t.tail .. t.trailer)
    elseif first > slack_of(t.size) then
      local held = t.held
      t.held, t.base = held - first, math.max(t.base - first, 0)
      t.trailer = trailer_of(t.held, t.older, t.size, flags_of(t))
      rewrite(t.key, {first, held}, t.trailer)
      t.tail = sub(t.tail, (t.base - t.held) * BYTES)
    else
      local trailer = trailer_of(t.held, t.older, t.size, flags_of(t))
      if trailer ~= t.trailer then
        write_at(t.key, t.held, trailer)
        t.trailer = trailer
      end
    end
    t.is_whole, t.is_missing = false, false
  end

  -- Writes a timeline that was changed, and returns its state for the directory, false for none.
  function M.written(t)
    if t.size == 0 then
      local before = M.floor_of(t)
      if t.side and (t.older > 0 or t.has_payloads) then
        M.delete_key(t.side)
      end
      M.forget_chunks(t)
      t.has_payloads, t.is_late, t.is_hashed = false, false, false
      M.put_string(t, before)
      if before == '' then
        if not t.is_missing then
          M.delete_key(t.key)
        end
        return false
      end
      write_string(t)
      return 'e'
    end
    if t.side and (t.is_hashed or t.held > MOST_IN_STRING) then
      M.define_index()
      M.define_chunks()
      M.balance(t)
    end
    write_string(t)
    return (t.has_payloads or t.older > 0) and '1' or '0'
  end
end
