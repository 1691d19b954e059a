-- The write of one id to a timeline that has no chunks, payloads or flags, if the id is not newer than all of the timeline.
local LEAST_SLACK = 8
local WINDOW, MOST_JOINED = 24, 96
-- How many entries were newer than the last late id: the timelines of a fan-out resemble each other.
local late_by

local function slack_of(length)
  return math.max(LEAST_SLACK, floor(length / 4))
end

local function trailer_of(held, older, size, flags)
  return packed(TRAILER, held, older, size, flags) .. MARK
end

local function write_at(key, position, text)
  call('SETRANGE', key, string.format('%d', position * BYTES), text)
end

-- Returns the position between two others at which an id lies, or belongs, and whether it is there. The search begins where the
-- last one ended; the first one, where the id's time lies between that of the oldest entry and that of `newer`, a record.
local function place_of(timeline, id, held, low, high, newer)
  local guess
  if late_by then
    guess = held - late_by
  elseif low < high then
    local oldest = read_range(timeline, low, low + 1)
    local from, to, time = unpacked(TIME, oldest), unpacked(TIME, newer), unpacked(TIME, id)
    guess = from < to and low + (high - low) * (time - from) / (to - from) or high
  end
  while low < high do
    local first = math.max(low, math.min(floor(guess) - floor(WINDOW / 2), high - WINDOW))
    local last = math.min(first + WINDOW, high)
    local records = read_range(timeline, first, last)
    local at, is_there = search(records, id)
    at = first + at
    if is_there or (at > first and at < last) or (at == first and first == low) or (at == last and last == high) then
      late_by = held - at
      return at, is_there
    end
    if at == first then
      high = first
    else
      low = last
    end
    guess = (low + high) / 2
  end
  return low, false
end

-- Adds an id, given how many ids the string holds and how many entries the timeline has, the greatest length (negative for
-- none), and the end of the string: the newest records, and the trailer. `trailer` is the one that the timeline gets if its string
-- gets longer by the id. Returns how many ids were new, nothing if the id cannot be added here.
local function add_late(timeline, id, held, size, most, newest, trailer)
  local low, known = held - size, #newest / BYTES - 1
  if most >= 0 and size > most then
    return
  end
  if known == 1 and size > 1 and not late_by then
    newest = call('GETRANGE', timeline, NEWEST_FROM, '-1')
    known = #newest / BYTES - 1
  end
  local first = held - known
  if first < 0 then
    return
  end
  local position, is_there = search(newest, id, math.max(low - first, 0), known)
  position = first + position
  if position == first and first > low and not is_there then
    position, is_there = place_of(timeline, id, held, low, first, newest)
  else
    late_by = held - position
  end
  if is_there then
    return 0
  end
  if position == low then
    return
  end
  -- The older entries move to the front if they are fewer and there is room of trimmed ids. The floor moves too, unless the
  -- oldest entry becomes the floor.
  local is_full = most >= 0 and size >= most
  local front = is_full and low or low - 1
  if front > 0 and position - front < held - position then
    write_at(timeline, front - 1, read_range(timeline, front, position) .. id)
    if not is_full then
      write_at(timeline, held, trailer_of(held, 0, size + 1, 0))
    end
    return 1
  end
  local next_size = is_full and size or size + 1
  if held - next_size > slack_of(next_size) then
    return
  end
  if held - position > MOST_JOINED then
    -- To join long strings takes longer than two more calls.
    write_at(timeline, position + 1, read_range(timeline, position, held))
    write_at(timeline, position, id)
    write_at(timeline, held + 1, trailer)
    return 1
  end
  local is_known = position >= first
  local rest = is_known and sub(newest, (position - first) * BYTES + 1, -BYTES - 1) or read_range(timeline, position, held)
  write_at(timeline, position, id .. rest .. trailer)
  return 1
end
