-- The steps that change the chunks of timelines, and move ids between chunks and string.
function M.define_chunks()
  if M.add_to_chunks then
    return
  end
  local KEPT_IN_STRING, LEAST_IN_STRING, LEAST_IN_CHUNKS = 1024, 128, 1024
  -- 126 ids, and the length that the server stores with them, fill an allocation of 2,048 bytes.
  local CHUNK, SMALL_CHUNK, MERGED_CHUNK, MOST_IN_BLOCK = 126, 32, 96, 128
  -- A write drops so many chunks at most.
  local MOST_CHUNKS_DROPPED = 1000
  -- To change so many ids of a chunk takes as long as to read and write the chunk, a unit of work.
  local IDS_A_UNIT = 16

  local function next_number(t)
    local number = t.free
    t.free, t.is_root_changed = number + 1, true
    return number
  end

  local function entry_of(first, number, count)
    return first .. packed('>I4I4', number, count)
  end

  -- Writes the entries of a block in the root, which are several if the block has got too many chunks, none if it has none.
  local function put_block(t, at, number, block, ids)
    local blocks, entries, count = {}, {}, M.entries_in(block)
    if count > MOST_IN_BLOCK then
      local half = floor(count / 2) * ENTRY
      local here = M.sum_before(block, floor(count / 2))
      blocks = {{number, sub(block, 1, half), here}, {next_number(t), sub(block, half + 1), ids - here}}
    elseif count > 0 then
      blocks = {{number, block, ids}}
    else
      M.delete_fields(t, {string.format('b%d', number)})
      t.blocks[number], t.changed_blocks[number] = nil, nil
    end
    for i, one in ipairs(blocks) do
      t.blocks[one[1]], t.changed_blocks[one[1]] = one[2], true
      entries[i] = entry_of(M.first_at(one[2], 0), one[1], one[3])
    end
    t.root = M.spliced(t.root, at * ENTRY, at < M.entries_in(t.root) and ENTRY or 0, table.concat(entries))
    t.is_root_changed = true
  end

  -- Replaces chunks from a place of a block on. `pieces` are strings of records, the first of which gets the number `kept`.
  local function put_chunks(t, at, place, replaced, pieces, kept)
    M.load_root(t)
    t.changed_blocks = t.changed_blocks or {}
    local number, block, ids
    if at < M.entries_in(t.root) then
      block = M.block_at(t, at)
      number, ids = M.entry_at(t.root, at)
    else
      number, block, ids = next_number(t), '', 0
    end
    for i = place, place + replaced - 1 do
      local _, count = M.entry_at(block, i)
      ids = ids - count
    end
    local entries = {}
    for i, piece in ipairs(pieces) do
      local chunk = i == 1 and kept or next_number(t)
      M.set_fields(t, {string.format('%d', chunk), piece})
      entries[i] = entry_of(record(piece, 0), chunk, #piece / BYTES)
      ids = ids + #piece / BYTES
    end
    put_block(t, at, number, M.spliced(block, place * ENTRY, replaced * ENTRY, table.concat(entries)), ids)
  end

  -- Returns records as the chunks that hold them: full ones, or those of one size.
  local function pieces_of(records, are_full)
    local count = #records / BYTES
    local size = are_full and CHUNK or math.ceil(count / math.ceil(count / CHUNK))
    local pieces = {}
    for first = 0, count - 1, size do
      pieces[#pieces + 1] = sub(records, first * BYTES + 1, (first + size) * BYTES)
    end
    return pieces
  end

  local function save_chunks(t)
    for number in pairs(t.changed_blocks or {}) do
      M.set_fields(t, {string.format('b%d', number), t.blocks[number]})
    end
    if t.is_root_changed then
      M.set_fields(t, {'r', t.root .. packed('>I4', t.free)})
    end
    t.changed_blocks, t.is_root_changed = nil, false
  end

  local function number_at(block, place)
    return string.format('%d', (M.entry_at(block, place)))
  end

  local function remove_chunks(t)
    if t.has_payloads then
      local fields = {'r'}
      for at = 0, M.entries_in(t.root) - 1 do
        local block = M.block_at(t, at)
        fields[#fields + 1] = string.format('b%d', (M.entry_at(t.root, at)))
        for place = 0, M.entries_in(block) - 1 do
          fields[#fields + 1] = number_at(block, place)
        end
      end
      M.delete_fields(t, fields)
    else
      M.delete_key(t.side)
    end
    M.forget_chunks(t)
  end

  -- Returns the oldest id of the chunk that follows one, nothing for the last one.
  local function following(t, at, place)
    local block = M.block_at(t, at)
    if place + 1 < M.entries_in(block) then
      return M.first_at(block, place + 1)
    end
    return at + 1 < M.entries_in(t.root) and M.first_at(t.root, at + 1) or nil
  end

  -- Calls `change` for each chunk to which some of the first `count` ids belong. Returns the sum of its results, and the
  -- position of the first id that remains, if the script has changed as many chunks as it may.
  local function each_chunk(t, ids, count, change)
    local total, first = 0, 1
    M.load_root(t)
    while first <= count and t.root ~= '' do
      if M.chunk_work <= 0 then
        return total, first
      end
      local at, place, low = M.places_of(t, ids[first])
      local last, next = first, following(t, at, place)
      while last < count and not (next and not is_less(ids[last + 1], next)) do
        last = last + 1
      end
      total = total + change(at, place, low, first, last)
      M.chunk_work = M.chunk_work - 1 - (last - first + 1) / IDS_A_UNIT
      first = last + 1
    end
    return total
  end

  function M.add_to_chunks(t, ids, count, is_new)
    return each_chunk(t, ids, count, function(at, place, low, first, last)
      local block = M.block_at(t, at)
      local records = M.chunk_in(t, block, place)
      local parts, added, start = merged(records, low, #records / BYTES, ids, first, last, is_new)
      if added > 0 then
        if start == low and trimmed(t) > 0 then
          -- No other entry is older.
          M.note_late(t, parts[1])
        end
        local after = sub(records, 1, start * BYTES) .. table.concat(parts)
        put_chunks(t, at, place, 1, pieces_of(after, false), (M.entry_at(block, place)))
        t.older, t.size = t.older + added, t.size + added
      end
      return added
    end)
  end

  -- Puts the remaining records of a chunk in its place. A small chunk is joined with its neighbour in the block.
  local function put_smaller(t, at, place, records)
    local block = M.block_at(t, at)
    local number = M.entry_at(block, place)
    if records == '' then
      M.delete_fields(t, {number_at(block, place)})
      put_chunks(t, at, place, 1, {})
      return
    end
    local neighbour = place + 1 < M.entries_in(block) and place + 1 or place - 1
    local count
    if #records < SMALL_CHUNK * BYTES and neighbour >= 0 then
      local _, size = M.entry_at(block, neighbour)
      count = size
    end
    if count and count + #records / BYTES <= MERGED_CHUNK then
      local others = M.chunk_in(t, block, neighbour)
      M.delete_fields(t, {number_at(block, neighbour)})
      records = neighbour > place and records .. others or others .. records
      put_chunks(t, at, math.min(place, neighbour), 2, {records}, number)
    else
      put_chunks(t, at, place, 1, {records}, number)
    end
  end

  function M.remove_from_chunks(t, ids, count)
    return each_chunk(t, ids, count, function(at, place, low, first, last)
      local after, removed = M.cut(M.chunk_in(t, M.block_at(t, at), place), low, ids, first, last)
      if removed > 0 then
        put_smaller(t, at, place, after)
        t.older, t.size = t.older - removed, t.size - removed
      end
      return removed
    end)
  end

  -- Removes the chunks of which every id was trimmed and none is the floor.
  local function remove_trimmed_chunks(t)
    local dropped, dead = 0, trimmed(t)
    M.load_root(t)
    while dropped < MOST_CHUNKS_DROPPED do
      local block, fields, place = M.block_at(t, 0), {}, 0
      local chunks, ids = M.entries_in(block), 0
      while place < chunks do
        local _, count = M.entry_at(block, place)
        if dead <= count then
          break
        end
        fields[#fields + 1] = number_at(block, place)
        dead, ids, place = dead - count, ids + count, place + 1
      end
      if place > 0 then
        M.delete_fields(t, fields)
        put_chunks(t, 0, 0, place, {})
        t.older, dropped = t.older - ids, dropped + place
      end
      if place < chunks or t.is_damaged then
        break
      end
    end
  end

  local function move_to_string(t)
    M.load_root(t)
    local at = M.entries_in(t.root) - 1
    local block = M.block_at(t, at)
    local place = M.entries_in(block) - 1
    local _, count = M.entry_at(block, place)
    local records = M.chunk_in(t, block, place)
    M.reach(t, 0)
    M.delete_fields(t, {number_at(block, place)})
    put_chunks(t, at, place, 1, {})
    t.older = t.older - count
    M.put_string(t, records .. t.tail)
  end

  local function move_to_chunks(t)
    local first = t.is_waste and t.held - t.size or math.max(t.held - t.size - 1, 0)
    local last = first + floor((t.held - first - KEPT_IN_STRING) / CHUNK) * CHUNK
    M.reach(t, first)
    local records, kept = M.read_string(t, first, last), M.read_string(t, last, t.held)
    M.load_root(t)
    local at = math.max(M.entries_in(t.root) - 1, 0)
    local place = t.root ~= '' and M.entries_in(M.block_at(t, at)) or 0
    put_chunks(t, at, place, 0, pieces_of(records, true))
    t.older = t.older + last - first
    M.put_string(t, kept)
  end

  -- Makes an id the floor, which lies at a position in a chunk.
  function M.put_floor_in_chunk(t, id, position)
    M.load_root(t)
    local at, left = M.first_alive(t.root, position)
    local block = M.block_at(t, at)
    local place, low = M.first_alive(block, left)
    local records = M.chunk_in(t, block, place)
    put_chunks(t, at, place, 1, {M.spliced(records, low * BYTES, BYTES, id)}, (M.entry_at(block, place)))
  end

  -- Moves entries so that the string holds as many as it may. The side key was declared.
  function M.balance(t)
    if t.older > 0 and (t.size <= LEAST_IN_CHUNKS or t.size <= t.held) then
      local records = M.floor_of(t) .. M.read(t, 0, t.size)
      M.load_root(t)
      remove_chunks(t)
      M.put_string(t, records)
    end
    if t.older > 0 then
      remove_trimmed_chunks(t)
    end
    while t.size > t.held and t.held < LEAST_IN_STRING do
      move_to_string(t)
    end
    if math.min(t.held, t.size) > MOST_IN_STRING and (M.may_replace or not t.has_payloads) then
      M.move_to_hash(t)
      move_to_chunks(t)
    end
    if t.older > 0 then
      save_chunks(t)
    elseif t.is_hashed then
      M.move_to_list(t)
    end
  end
end
