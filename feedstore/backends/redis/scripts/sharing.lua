-- Adds one entry with a payload to many timelines, with slack, before the script makes the functions of other writes.
--
-- Most timelines are older than the entry, and have slack left: such an add takes three calls, of which the last two write. A
-- timeline that has used up its slack takes a few more. The others are written one by one, as
-- deliveries. A fourth call would check the type of each list before the first write. The script finds a foreign key when it
-- writes the list.
--
-- KEYS: the marker, the directories, the timelines of each, the side keys of all. ARGV: as in states.lua, with 'share' for the
-- program; the greatest length (-1: none); how many directories and how many timelines there are; msgpack of how many timelines
-- each directory has; the id; the payload; the limit by payload (-1: none); the slack.

-- A script reads so many payloads and no more. It leaves the timelines after that to other scripts.
local MOST_READ = 10000
M.payloads_read = 0

-- The marks that stand in place of the write of a timeline: it is done, or left to another script.
local DONE, LATER = {}, {}

-- Returns a share, given how many keys come before the first timeline, and how many timelines there are. `nexts` holds the
-- write of each timeline, false if a delivery of its own must do it.
local function share_of(keys, before, count, id, payload, most, length, slack)
  return {keys = keys, before = before, count = count, id = id, payload = payload, most = most, length = length,
    most_entries = length + slack, nexts = {}, ends = {}, limited = {}, later = {}, total = 0}
end

-- Returns the write of an add at the top of a timeline with a trailer: its place and its text. Returns false if that takes more.
local function next_of(share, trailer)
  local found = false
  if sub(trailer, -3) == MARK then
    local held, older, size, flags = unpacked(TRAILER, trailer)
    if flags % 2 == PAYLOADS and older == 0 and size > 0 and held >= size and held < MOST_IN_STRING then
      found = {held = held, size = size + 1, flags = flags, offset = string.format('%d', held * BYTES)}
      found.text = share.id .. trailer_of(held + 1, 0, size + 1, flags)
    end
  end
  share.ends[trailer] = found
  return found
end

-- Returns the payloads of a list, the oldest first, how many entries of each exceed the limit once another one is added, and how
-- many that are; nothing for a list of another length than the timeline's.
local function read_payloads(side, size, payload, most)
  local values, counts, beyond, total = pcall('LRANGE', side, '0', '-1'), {[payload] = 1}, {}, 0
  if #values ~= size then
    return
  end
  for i = 1, size do
    local value = values[i]
    counts[value] = (counts[value] or 0) + 1
  end
  for value, count in pairs(counts) do
    if count > most and value ~= '' then
      beyond[value], total = count - most, total + count - most
    end
  end
  return values, beyond, total
end

-- Returns the write of a timeline that keeps its newest `length` entries.
local function dropping_oldest(share, next, length)
  local held, surplus = next.held + 1, next.held - length
  local found = {held = next.held, size = next.size, offset = next.offset}
  if surplus > slack_of(length) then
    found.surplus, held = surplus, held - surplus
  end
  found.text = share.id .. trailer_of(held, 0, length, PAYLOADS)
  return found
end

-- Returns the positions of the oldest entries of some payloads.
local function places_beyond(values, beyond, total)
  local places, left, i = {}, {}, 1
  for value, count in pairs(beyond) do
    left[value] = count
  end
  while #places < total do
    local value = values[i]
    if (left[value] or 0) > 0 then
      left[value] = left[value] - 1
      places[#places + 1] = i
    end
    i = i + 1
  end
  return places
end

-- Returns records, of which `lead` come before the entries, without the entries at some positions.
local function records_without(records, lead, places)
  local parts, from = {}, 0
  for i = 1, #places do
    parts[i] = sub(records, from * BYTES + 1, (lead + places[i] - 1) * BYTES)
    from = lead + places[i]
  end
  parts[#parts + 1] = sub(records, from * BYTES + 1)
  return table.concat(parts)
end

-- Returns the write of a timeline that removes the oldest entries of some payloads, and then drops its oldest entries. The older
-- entries move up, and the floor with them. Without a floor, the string is written as a whole, so that no id in front is one.
local function removing_beyond(share, timeline, next, values, beyond, total)
  local first, size, places = next.held - next.size + 1, next.size - total, places_beyond(values, beyond, total)
  local lead = first > 0 and 1 or 0
  local length, found = math.min(size, share.length), nil
  if lead == 0 and size <= share.length then
    local kept = records_without(read_range(timeline, 0, next.held), 0, places)
    found = {held = next.held, size = next.size, whole = kept .. share.id .. trailer_of(size, 0, size, PAYLOADS)}
  else
    found = dropping_oldest(share, next, length)
    found.front = records_without(read_range(timeline, first - lead, first + places[total]), lead, places)
    found.front_at = first + total - lead
  end
  found.beyond, found.dropped = beyond, length < size and string.format('%d', size - length)
  return found
end

-- Returns the write of a timeline that gets the entry at its top, and has used up its slack, if no payload exceeds its limit.
local function with_length(share, next)
  local found = share.limited[next]
  if not found then
    found = dropping_oldest(share, next, share.length)
    found.dropped = string.format('%d', next.size - share.length)
    share.limited[next] = found
  end
  return found
end

-- Returns the write of a timeline that gets the entry at its top, and has used up its slack.
local function with_limits(share, i, next)
  local timeline, most = share.keys[share.before + i], share.most
  if next.flags ~= PAYLOADS or share.length < 1 or is_cut(timeline, next.held) then
    return false
  end
  if most < 0 or next.size <= most then
    return with_length(share, next)
  end
  if M.payloads_read > 0 and M.payloads_read + next.size > MOST_READ then
    share.later[#share.later + 1] = i - 1
    return LATER
  end
  M.payloads_read = M.payloads_read + next.size
  local side = share.keys[share.before + share.count + i]
  local values, beyond, total = read_payloads(side, next.size - 1, share.payload, most)
  if not values then
    return false
  end
  return total > 0 and removing_beyond(share, timeline, next, values, beyond, total) or with_length(share, next)
end

-- Reads the ends of the timelines. Returns whether none needs a delivery of its own. The loops of a share use local names and
-- numbers alone, as those of a fan-out do.
local function read_share(share)
  local pcall, sub, unpacked, keys, nexts, ends = pcall, sub, unpacked, share.keys, share.nexts, share.ends
  local id, before, most_entries, is_complete = share.id, share.before, share.most_entries, true
  local time = unpacked('>I6', id)
  for i = 1, share.count do
    local newest, next = pcall('GETRANGE', keys[before + i], '-32', '-1'), false
    if #newest == 32 then
      local newest_time = unpacked('>I6', newest)
      if newest_time < time or (newest_time == time and is_less(newest, id)) then
        local trailer = sub(newest, 17)
        next = ends[trailer]
        if next == nil then
          next = next_of(share, trailer)
        end
        if next and next.size > most_entries then
          next = with_limits(share, i, next)
        end
      end
    end
    nexts[i] = next
    is_complete = is_complete and next
  end
  local next = nexts[1]
  if share.count == 1 and next and next.held and is_cut(keys[before + 1], next.held) then
    nexts[1] = false
    return false
  end
  return is_complete
end

-- Notes that the first timelines of a share are written, but for those without anything to write.
local function note_done(share, last)
  for i = 1, last do
    local next = share.nexts[i]
    if next and next.held then
      share.nexts[i] = DONE
    end
  end
end

-- Removes the payloads of the entries that the limits remove.
local function limit_list(side, next)
  for payload, count in pairs(next.beyond or {}) do
    call('LREM', side, string.format('%d', count), payload)
  end
  if next.dropped then
    call('LTRIM', side, next.dropped, '-1')
  end
end

-- Adds the entry to the timelines that get it at their top. Returns whether all could be written: a list that the server has
-- evicted leaves a timeline without payloads, and a delivery finds the key of another type.
local function write_share(share)
  local call, pcall, keys, nexts, payload = call, pcall, share.keys, share.nexts, share.payload
  local before, count, total, last, is_complete = share.before, share.count, 0, share.count, true
  for i = 1, count do
    local next = nexts[i]
    local held = next and next.held
    if held then
      local timeline, side = keys[before + i], keys[before + count + i]
      local size = pcall('RPUSH', side, payload)
      if size == next.size then
        if next.dropped or next.beyond then
          limit_list(side, next)
        end
        if next.front then
          write_at(timeline, next.front_at, next.front)
        end
        if next.whole then
          store(timeline, next.whole)
        elseif next.surplus then
          rewrite(timeline, {next.surplus, held}, next.text)
        else
          call('SETRANGE', timeline, next.offset, next.text)
        end
        if expiry > 0 then
          call('PEXPIRE', timeline, ARGV[4])
          call('PEXPIRE', side, ARGV[4])
        end
        total = total + 1
      else
        nexts[i], is_complete = false, false
        if type(size) ~= 'number' then
          last = i
          break
        end
        call('RPOP', side)
      end
    end
  end
  share.total = share.total + total
  if not (is_complete and share.is_alone) then
    note_done(share, last)
  end
  return is_complete
end

local first_share
if ARGV[3] == 'share' then
  first_share = share_of(KEYS, 1 + ARGV[8], tonumber(ARGV[9]), ARGV[11], ARGV[12], tonumber(ARGV[13]), tonumber(ARGV[7]),
    tonumber(ARGV[14]))
  first_share.is_alone = read_share(first_share)
  if first_share.is_alone and write_share(first_share) then
    return {#first_share.later > 0 and {'PART', first_share.total, {}, {}, first_share.later} or first_share.total}
  end
end
