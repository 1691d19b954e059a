-- Adds the same ids to timelines, the most frequent write, before the script makes the functions of other writes.
--
-- KEYS: the marker, the directories, the timelines of each, maybe the side key of the only timeline. ARGV: as in states.lua, with ''
-- for the program; the greatest length (-1: none); how many directories and how many timelines there are; msgpack of how many
-- timelines each directory has; the sorted ids. If one of the timelines does not get the ids at its top, the script goes on with
-- a fan-out.

local DAMAGED = 'DAMAGED '

-- Returns whether a string has lost a part, given how many ids its trailer counts. A write would fill the gap with zeros. A fan-out
-- does not ask, because this call would take a fifth more of the server's time.
local function is_cut(timeline, held)
  return call('STRLEN', timeline) ~= (held + 1) * BYTES
end

-- Returns how many ids were new, or the answer for a damaged timeline; nothing if the id cannot be added here.
local function add_one(timeline, id, most)
  local newest = pcall('GETRANGE', timeline, TOP_FROM, '-1')
  if type(newest) ~= 'string' or #newest ~= 2 * BYTES or sub(newest, -3) ~= MARK then
    return
  end
  local held, older, size, flags = unpacked(TRAILER, newest, BYTES + 1)
  if flags ~= 0 or size == 0 or held + older < size or math.min(held, size) >= MOST_IN_STRING then
    return
  end
  if is_cut(timeline, held) then
    return DAMAGED .. timeline
  end
  local is_last = sub(newest, 1, BYTES) == id
  if older > 0 and (held >= size or expiry > 0) then
    return
  end
  local next_size = most >= 0 and size >= most and most or size + 1
  if is_less(sub(newest, 1, BYTES), id) then
    if older == 0 and held - next_size > slack_of(next_size) then
      return
    end
    write_at(timeline, held, id .. trailer_of(held + 1, older, next_size, 0))
    return 1
  end
  if is_last then
    return (most < 0 or size <= most) and 0 or nil
  end
  if older == 0 then
    return add_late(timeline, id, held, size, most, newest, trailer_of(held + 1, 0, next_size, 0))
  end
end

-- The trailers of the timelines that get the ids at the top, by the positions of their keys, up to the first other timeline.
local first_tops = {}

-- Returns how many ids were new, nothing if a timeline does not get them at the top; then nothing was written. The loops use
-- local names and numbers alone, and take a twelfth less of the server's time.
local function add_to_all(ids, most, first, last)
  local call, pcall, sub, unpacked, keys, tops, trailers = call, pcall, sub, unpacked, KEYS, first_tops, trailers
  local item = prepared(ids)
  local most_held, time, writes = MOST_IN_STRING - item.count, item.time, item.writes
  for i = first, last do
    local newest = pcall('GETRANGE', keys[i], '-32', '-1')
    local found = #newest == 32 and unpacked('>I6', newest) < time and (trailers[sub(newest, 17)] or read_trailer(sub(newest, 17)))
    if not found or found.in_string > most_held then
      return
    end
    tops[i] = found
  end
  if first == last and is_cut(keys[first], first_tops[first].held) then
    return DAMAGED .. keys[first]
  end
  for i = first, last do
    local made = writes[tops[i]]
    if made and not made.kept and expiry == 0 then
      call('SETRANGE', keys[i], made.offset, made.text)
    else
      append(keys[i], item, tops[i], most)
    end
  end
  return item.count * (last - first + 1)
end

if ARGV[3] == '' then
  local first, most = 2 + ARGV[8], tonumber(ARGV[7])
  local last, added = first + ARGV[9] - 1, nil
  if first == last and not ARGV[12] then
    added = add_one(KEYS[first], ARGV[11], most)
    if type(added) == 'number' and expiry > 0 then
      call('PEXPIRE', KEYS[first], ARGV[4])
    end
  else
    added = add_to_all({unpack(ARGV, 11)}, most, first, last)
  end
  if added then
    return type(added) == 'number' and {added} or added
  end
end
