-- The functions that read the chunks of timelines.
local ENTRY, FREE_BYTES = 24, 4

function M.define_index()
  if M.load_root then
    return
  end
  -- Returns how many entries an index has: the root, or a block.
  function M.entries_in(index)
    return floor(#index / ENTRY)
  end

  -- Returns the number of a block or a chunk and how many ids it has, given the place of its entry.
  function M.entry_at(index, place)
    return unpacked('>I4I4', index, place * ENTRY + BYTES + 1)
  end

  function M.first_at(index, place)
    return sub(index, place * ENTRY + 1, place * ENTRY + BYTES)
  end

  -- Returns the place of the entry to which an id belongs. It is not in front of `low`.
  local function place_in(index, id, low)
    local high = M.entries_in(index)
    local place = low
    low = low + 1
    while low < high do
      local middle = floor((low + high) / 2)
      if is_less(id, M.first_at(index, middle)) then
        high = middle
      else
        low, place = middle + 1, middle
      end
    end
    return place
  end

  -- Reads the root. A script that did not declare the side key is called again with it.
  function M.load_root(t)
    if t.root then
      return
    end
    t.root, t.free, t.blocks = '', 1, {}
    if t.older == 0 then
      return
    end
    if not t.side then
      t.is_cut_off = true
      return
    end
    local found = call('HGET', t.side, 'r') or ''
    if #found % ENTRY == FREE_BYTES and #found > FREE_BYTES then
      t.root, t.free = sub(found, 1, -FREE_BYTES - 1), unpacked('>I4', found, #found - FREE_BYTES + 1)
    else
      t.is_damaged = true
    end
  end

  -- Returns a block, given its place in the root.
  function M.block_at(t, place)
    local number = M.entry_at(t.root, place)
    local block = t.blocks[number]
    if not block then
      block = call('HGET', t.side, string.format('b%d', number)) or ''
      if block == '' or #block % ENTRY ~= 0 then
        -- The script goes on with an empty chunk, and answers that the timeline is damaged.
        t.is_damaged, block = true, string.rep('\0', ENTRY)
      end
      t.blocks[number] = block
    end
    return block
  end

  function M.chunk_in(t, block, place)
    local number, count = M.entry_at(block, place)
    local records = call('HGET', t.side, string.format('%d', number)) or ''
    if #records ~= count * BYTES then
      t.is_damaged = true
    end
    return records
  end

  -- Returns the first entry of an index, from a place on, some of whose ids were not trimmed, and how many were, given how many
  -- of all were.
  function M.first_alive(index, dead)
    local place, last = 0, M.entries_in(index) - 1
    local _, count = M.entry_at(index, 0)
    while dead >= count and place < last do
      dead, place = dead - count, place + 1
      _, count = M.entry_at(index, place)
    end
    return place, math.min(dead, count)
  end

  -- Returns the places of the block and of the chunk to which an entry belongs, and how many of the chunk's ids were trimmed. Ids
  -- that were trimmed need not be sorted: a floor may have taken the place of one.
  function M.places_of(t, id)
    local low, dead = M.first_alive(t.root, trimmed(t))
    local at = place_in(t.root, id, low)
    local block = M.block_at(t, at)
    local first, left = M.first_alive(block, at == low and dead or 0)
    local place = place_in(block, id, first)
    return at, place, place == first and left or 0
  end

  function M.sum_before(index, place)
    local total = 0
    for i = 0, place - 1 do
      local _, count = M.entry_at(index, i)
      total = total + count
    end
    return total
  end

  -- Returns how many ids lie in front of a chunk.
  function M.ids_before(t, at, place)
    return M.sum_before(t.root, at) + M.sum_before(M.block_at(t, at), place)
  end

  -- Returns the ids of the chunks from `first` up to `last`, of which the latter is left out.
  function M.read_chunks(t, first, last)
    M.load_root(t)
    local parts, position = {}, 0
    for at = 0, M.entries_in(t.root) - 1 do
      local _, ids = M.entry_at(t.root, at)
      if position + ids > first and position < last then
        local block, begun = M.block_at(t, at), position
        for place = 0, M.entries_in(block) - 1 do
          local _, count = M.entry_at(block, place)
          if begun + count > first and begun < last then
            local records = M.chunk_in(t, block, place)
            if first > begun or last < begun + count then
              records = sub(records, math.max(first - begun, 0) * BYTES + 1, (last - begun) * BYTES)
            end
            parts[#parts + 1] = records
          end
          begun = begun + count
        end
      end
      position = position + ids
    end
    return #parts == 1 and parts[1] or table.concat(parts)
  end
end
