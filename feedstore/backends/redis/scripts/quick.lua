-- Adds one id to one timeline, the most frequent write, before the script makes the functions of other writes.
--
-- KEYS: the marker, the directory, the timeline, maybe its side key. ARGV: as in states.lua, with '' for the program; the greatest
-- length (-1: none); the id. If the write is not a quick one, the script goes on with a fan-out to the timeline.

-- Returns how many ids were new, nothing if the id cannot be added here.
local function add_one(timeline, id, most)
  local newest = pcall('GETRANGE', timeline, '-32', '-1')
  if type(newest) ~= 'string' or #newest ~= 2 * BYTES or sub(newest, -3) ~= MARK then
    return
  end
  local held, older, size, flags = unpacked(TRAILER, newest, BYTES + 1)
  if flags ~= 0 or size == 0 or held + older < size or math.min(held, size) >= MOST_IN_STRING then
    return
  end
  local is_last = sub(newest, 1, BYTES) == id
  if older > 0 and (held >= size or ARGV[4] ~= '0') then
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

if ARGV[3] == '' then
  local added = add_one(KEYS[3], ARGV[8], tonumber(ARGV[7]))
  if added then
    if ARGV[4] ~= '0' then
      call('PEXPIRE', KEYS[3], ARGV[4])
    end
    return {added}
  end
end
