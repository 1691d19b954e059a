-- The writes of strings, which every fan-out needs.
local SMALL_STRING = 512

-- Writes the ids of a string that lie in ranges of positions, from a first one up to a last one, which is left out, and an
-- ending. The server allocates room for a quarter more: a write that finds no room doubles the memory of a string. Memory
-- comes in sizes that differ by a quarter at most: half of the string and an eighth of it exceed the room of the half, and
-- twice their sum is one and a quarter. The rest finds room.
local function rewrite(key, ranges, ending)
  local total = #ending / BYTES
  for i = 1, #ranges, 2 do
    total = total + ranges[i + 1] - ranges[i]
  end
  local half = total * BYTES < SMALL_STRING and total or floor(total / 2) - 1
  local bounds = {half, half + floor(total / 8) + 2, total}
  local parts, part, done = {{}, {}, {}}, 1, 0
  for i = 1, #ranges, 2 do
    local first, last = ranges[i], ranges[i + 1]
    while first < last do
      while done >= bounds[part] do
        part = part + 1
      end
      local next = math.min(last, first + bounds[part] - done)
      table.insert(parts[part], read_range(key, first, next))
      first, done = next, done + next - first
    end
  end
  local begun = #parts[1] == 1 and parts[1][1] or table.concat(parts[1])
  call('SET', key, begun, 'KEEPTTL')
  for i = 2, 3 do
    for _, records in ipairs(parts[i]) do
      call('APPEND', key, records)
    end
  end
  call('APPEND', key, ending)
end

-- Writes a string as a whole, in the same way.
local function store(key, text)
  deleted[key] = nil
  if #text < SMALL_STRING then
    call('SET', key, text, 'KEEPTTL')
    return
  end
  local half = floor(#text / 2 / BYTES) * BYTES - BYTES
  local part = half + floor(#text / 8 / BYTES) * BYTES + 2 * BYTES
  call('SET', key, sub(text, 1, half), 'KEEPTTL')
  call('APPEND', key, sub(text, half + 1, part))
  call('APPEND', key, sub(text, part + 1))
end

-- Merges the sorted ids from `first` to `last` into sorted records, from the position `low` up to `high`. Returns the
-- records from the position of the first new one on, as a list of strings, how many were new, and that position.
local function merged(records, low, high, ids, first, last, is_new)
  local parts, from, count, start = {}, nil, 0, nil
  for i = first, last do
    local at, is_there = low, false
    if low < high then
      at, is_there = search(records, ids[i], low, high)
    end
    if not is_there then
      if not start then
        start = at
      elseif at > from then
        parts[#parts + 1] = sub(records, from * BYTES + 1, at * BYTES)
      end
      parts[#parts + 1] = ids[i]
      from, count = at, count + 1
      is_new[i] = true
    end
    low = at
  end
  if start and from < high then
    parts[#parts + 1] = sub(records, from * BYTES + 1, high * BYTES)
  end
  return parts, count, start
end
