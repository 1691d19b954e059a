-- The format of timelines, and the functions that every script needs.
--
-- A timeline is a string: records of 16 bytes, which are ids, the oldest first, and a trailer of 16 bytes. If it has more than
-- 2,048 entries, the string holds the newest of them, and chunks hold the older ones. The trailer says how many ids the
-- string holds (4 bytes), how many ids the chunks hold (4), how many entries the timeline has (4) and flags (1), and ends with
-- a mark. If there are more ids than entries, the oldest ids were trimmed, and the newest of these is the floor: a trim only
-- writes the trailer. With the flag WASTE, they were not trimmed, and none is the floor. A timeline without entries that has a
-- floor is the string of the floor and the trailer.
--
-- The side key of a timeline exists if the timeline has payloads or chunks. Without chunks, it is a list of the payloads, in the
-- order of the entries. With chunks, it is a hash. It maps ids to payloads, and numbers to chunks, which are strings of up to
-- 126 ids. Its fields 'b' and a number hold blocks: entries of 24 bytes for up to 128 chunks, in the order of their ids. An entry
-- is the oldest id, the number, and how many ids there are (4 bytes each). Its field 'r' is the root: such an entry for each
-- block, and then the next free number (4 bytes).
--
-- A directory is a hash: key of a timeline -> '0', '1' if the timeline has a side key, 'e' if it has a floor and no entries.
local call, pcall = redis.call, redis.pcall
local sub, floor, unpacked, packed = string.sub, math.floor, struct.unpack, struct.pack
local ID, TIME, BYTES, TRAILER, MARK = '>I6I6I4', '>I6', 16, '>I4I4I4I1', 'pkd'
local PAYLOADS, LATE, WASTE = 1, 2, 4
local MOST_IN_STRING = 2048
local NEWEST_READ, NEWEST_FROM, BLOCK = 32, '-528', 8
-- The other functions: each file makes its own when a script needs the first of them. To make all of them takes longer than a
-- short script runs.
local M = {}

-- The server's locale decides how Lua compares strings. These functions compare ids as numbers: their times, and all of their
-- bytes if the times are the same, which takes three times as long.
local function is_less(one, other)
  local a, d = unpacked(TIME, one), unpacked(TIME, other)
  if a ~= d then
    return a < d
  end
  local _, b, c = unpacked(ID, one)
  local _, e, f = unpacked(ID, other)
  return b < e or (b == e and c < f)
end

-- Returns the record at a position of a string of records.
local function record(records, position)
  return sub(records, position * BYTES + 1, position * BYTES + BYTES)
end

-- Returns how many of the first `high` records of a sorted string are less than an id, and whether the id is among them. The
-- first `low` are less.
local function search(records, id, low, high)
  local a, b, c = unpacked(ID, id)
  high = high or #records / BYTES
  low = low or 0
  local last = high
  while low < high do
    local middle = floor((low + high) / 2)
    local d, e, f = (unpacked(TIME, records, middle * BYTES + 1))
    if d == a then
      d, e, f = unpacked(ID, records, middle * BYTES + 1)
    end
    if d < a or (d == a and (e < b or (e == b and f < c))) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low, low < last and record(records, low) == id
end

-- To write a number as an integer takes a third of the time that Redis takes for a number that Lua hands it.
local function read_range(key, first, last)
  return call('GETRANGE', key, string.format('%d', first * BYTES), string.format('%d', last * BYTES - 1))
end

-- Returns how many ids were trimmed, and still lie in front of the entries.
local function trimmed(t)
  return t.older + t.held - t.size
end
