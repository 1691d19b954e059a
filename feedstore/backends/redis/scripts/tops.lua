-- Adds at the top: ids that are newer than all of a timeline.
local TOP_FROM = '-32'
local expiry, is_atomic = tonumber(ARGV[4]), ARGV[5] == '1'
local trailers = {}

-- Returns an item as a fan-out uses it: its sorted ids, the records of all, and its writes by the numbers of trailers.
local function prepared(ids)
  return {ids = ids, first = ids[1], count = #ids, records = table.concat(ids), time = unpacked(TIME, ids[1]), writes = {}}
end

-- Returns the numbers of a trailer, false if a timeline with it is not written in two calls.
local function read_trailer(trailer)
  local found = trailers[trailer]
  if found == nil then
    found = false
    if sub(trailer, -3) == MARK then
      local held, older, size, flags = unpacked(TRAILER, trailer)
      -- Entries that all lie in the string leave the chunks to a slower write, which deletes them.
      local may_skip_chunks = older == 0 or (held < size and expiry == 0 and not is_atomic)
      if flags == 0 and size > 0 and held + older >= size and may_skip_chunks then
        found = {held = held, older = older, size = size, in_string = math.min(held, size)}
      end
    end
    trailers[trailer] = found
  end
  return found
end

-- Returns the text that an add at the top writes to each timeline with a trailer, and where.
local function append_of(item, found, most)
  local held, size = found.held + item.count, found.size + item.count
  if most >= 0 and size > most then
    size = most
  end
  local made = {offset = string.format('%d', found.held * BYTES), most = most}
  local surplus = found.older == 0 and held - size - 1 or 0
  if surplus > slack_of(size) then
    made.kept, made.surplus = found.held - surplus, surplus
    held = held - surplus
  end
  local trailer = trailer_of(held, found.older, size, 0)
  made.text, made.newest = item.records .. trailer, item.ids[item.count] .. trailer
  return made
end

-- Adds an item at the top of a timeline. Returns the end of its string.
local function append(timeline, item, found, most)
  local made = item.writes[found]
  if not made or made.most ~= most then
    made = append_of(item, found, most)
    item.writes[found] = made
  end
  if not made.kept then
    call('SETRANGE', timeline, made.offset, made.text)
  elseif made.kept > 0 then
    rewrite(timeline, {made.surplus, found.held}, made.text)
  else
    store(timeline, sub(made.text, 1 - made.kept * BYTES))
  end
  if expiry > 0 then
    call('PEXPIRE', timeline, ARGV[4])
  end
  return made.newest
end
