-- The functions that read timelines.

function M.define_timelines()
  if M.opened then
    return
  end
  function M.ids_in(records)
    local ids = {}
    for i = 1, #records / BYTES do
      ids[i] = sub(records, i * BYTES - BYTES + 1, i * BYTES)
    end
    return ids
  end

  -- Returns a timeline. `side` is its side key, nothing if the script did not declare it. `newest` is the end of the string, if the
  -- script has read that. Of the ids in the string, those from the position `base` on are known: `tail`.
  function M.opened(key, side, newest)
    local t = {key = key, side = side, held = 0, older = 0, size = 0, base = 0, tail = ''}
    newest = newest or call('GETRANGE', key, NEWEST_FROM, '-1')
    if newest == '' then
      t.is_missing, t.is_whole = true, true
      return t
    end
    local known = #newest / BYTES - 1
    if known < 1 or known % 1 ~= 0 or sub(newest, -3) ~= MARK then
      t.is_damaged = true
      return t
    end
    local flags
    t.held, t.older, t.size, flags = unpacked(TRAILER, newest, known * BYTES + 1)
    t.has_payloads, t.is_late, t.is_waste = flags % 2 == PAYLOADS, flags % WASTE >= LATE, flags >= WASTE
    t.trailer, t.base, t.tail = sub(newest, -BYTES), t.held - known, sub(newest, 1, -BYTES - 1)
    t.is_damaged = t.base < 0 or (t.base > 0 and known ~= 1 and known ~= NEWEST_READ) or t.held + t.older < t.size
      or call('STRLEN', key) ~= (t.held + 1) * BYTES
    if t.older > 0 then
      M.define_index()
    end
    return t
  end

  -- Reads the string down to a position.
  function M.reach(t, position)
    if position < t.base then
      t.tail = read_range(t.key, position, t.base) .. t.tail
      t.base = position
    end
  end

  -- Returns the ids of the string from one position up to another one.
  function M.read_string(t, first, last)
    if first >= t.base then
      return sub(t.tail, (first - t.base) * BYTES + 1, (last - t.base) * BYTES)
    end
    local records = read_range(t.key, first, math.min(last, t.base))
    return last > t.base and records .. sub(t.tail, 1, (last - t.base) * BYTES) or records
  end

  -- Returns the position in the string at which an id lies, or belongs, and whether it is there. It does not lie in chunks.
  function M.position_of(t, id)
    local low = math.max(t.held - t.size, 0)
    if t.base <= low or (t.tail ~= '' and not is_less(id, record(t.tail, 0))) then
      local position, is_there = search(t.tail, id, math.max(low - t.base, 0))
      return t.base + position, is_there
    end
    local high = t.base
    while high - low > BLOCK do
      local middle = floor((low + high) / 2)
      if is_less(M.read_string(t, middle, middle + 1), id) then
        low = middle + 1
      else
        high = middle
      end
    end
    local position, is_there = search(M.read_string(t, low, math.min(high + 1, t.held)), id)
    return low + position, is_there
  end

  -- Returns the records of the entries from `first` up to `last`, of which the latter is left out. 0 is the oldest entry.
  function M.read(t, first, last)
    if first >= last then
      return ''
    end
    local from, to, dead = first + t.held - t.size, last + t.held - t.size, trimmed(t)
    local records = to > 0 and M.read_string(t, math.max(from, 0), to) or ''
    return from < 0 and M.read_chunks(t, first + dead, math.min(last + dead, t.older)) .. records or records
  end

  -- Returns the floor, '' for none.
  function M.floor_of(t)
    local dead = trimmed(t)
    if dead == 0 or t.is_waste then
      return ''
    end
    if dead > t.older then
      return M.read_string(t, dead - t.older - 1, dead - t.older)
    end
    return M.read_chunks(t, dead - 1, dead)
  end

  -- Returns whether an id is older than all of the string, and lies or belongs in a chunk.
  local function is_in_chunks(t, id)
    return t.size > t.held and is_less(id, M.read_string(t, 0, 1))
  end

  -- Returns whether the timeline holds an id, the position among those that lie where it does, and the places of the block and
  -- of the chunk, nothing for the string.
  function M.lookup(t, id)
    if t.size == 0 then
      return false, 0
    end
    if not is_in_chunks(t, id) then
      local position, is_there = M.position_of(t, id)
      return is_there, position
    end
    M.load_root(t)
    if t.root == '' then
      return false, 0
    end
    local at, place, low = M.places_of(t, id)
    local position, is_there = search(M.chunk_in(t, M.block_at(t, at), place), id, low)
    return is_there, position, at, place
  end

  -- Returns how many entries are older than an id, and whether the timeline holds the id.
  function M.find(t, id)
    local is_there, position, at, place = M.lookup(t, id)
    if at then
      return math.max(M.ids_before(t, at, place) + position - trimmed(t), 0), is_there
    end
    return math.max(position - t.held + t.size, 0), is_there
  end

  -- Returns the positions at which a slice begins and ends. `lowest` and `highest` are ids that belong to it, '' for none.
  function M.bounds_of(t, start, count, lowest, highest, is_descending)
    local first, last = 0, t.size
    if lowest ~= '' then
      first = M.find(t, lowest)
    end
    if highest ~= '' then
      local position, is_there = M.find(t, highest)
      last = is_there and position + 1 or position
    end
    if is_descending then
      last = last - start
      return count < 0 and first or math.max(first, last - count), last
    end
    first = first + start
    return first, count < 0 and last or math.min(last, first + count)
  end
end
