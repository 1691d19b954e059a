-- Answers most reads of a timeline that lie in its string, before the script makes the functions of other reads.
local MOST_FIELDS, WASTE, WINDOW = 4000, 4, 24

-- Returns the values of a hash's fields, false for each that is not there.
local function values_of(hash, fields)
  local values = {}
  for first = 1, #fields, MOST_FIELDS do
    local part = redis.call('HMGET', hash, unpack(fields, first, math.min(first + MOST_FIELDS - 1, #fields)))
    for i = 1, #part do
      values[first + i - 1] = part[i]
    end
  end
  return values
end

-- Returns records and the activities of their ids. The keys from `first` on are the activities of every bucket.
local function hydrated(records, first)
  local ids, buckets = {}, #KEYS - first + 1
  for i = 1, #records / 16 do
    ids[i] = string.sub(records, i * 16 - 15, i * 16)
  end
  if buckets == 1 then
    return {records, values_of(KEYS[first], ids)}
  end
  local activities = {}
  for i = 1, #ids do
    activities[i] = redis.call('HGET', KEYS[first + string.byte(ids[i], 16) % buckets], ids[i])
  end
  return {records, activities}
end

-- Returns the records from one position of the string up to another one, which is left out.
local function records_at(first, last)
  return redis.call('GETRANGE', KEYS[1], string.format('%d', 16 * first), string.format('%d', 16 * last - 1))
end

-- Returns the position between two others at which an id lies, or belongs, and whether it is there; nothing if the timeline is
-- damaged.
local function place_of(id, low, high)
  local a, b, c = struct.unpack('>I6I6I4', id)
  while low < high do
    local first = math.max(low, math.floor((low + high - WINDOW) / 2))
    local last = math.min(first + WINDOW, high)
    local records, from, to = records_at(first, last), 0, last - first
    if #records ~= 16 * to then
      return
    end
    while from < to do
      local middle = math.floor((from + to) / 2)
      local d, e, f = struct.unpack('>I6I6I4', records, middle * 16 + 1)
      if d < a or (d == a and (e < b or (e == b and f < c))) then
        from = middle + 1
      else
        to = middle
      end
    end
    if first + from == last then
      low = last
    elseif string.sub(records, from * 16 + 1, from * 16 + 16) == id then
      return first + from, true
    elseif from > 0 then
      return first + from, false
    else
      high = first
    end
  end
  return low, false
end

-- Returns the payloads of the entries from one position of the list up to another one, which is left out, as one msgpack array;
-- nothing if their number is wrong.
local function payloads_at(first, last)
  local payloads = redis.call('LRANGE', KEYS[2], string.format('%d', first), string.format('%d', last - 1))
  if #payloads == last - first then
    return cmsgpack.pack(payloads)
  end
end

-- Returns the answer of a reader of reading.lua, nothing if that one must answer.
local function quick_answer(kind)
  local is_page = kind == 'page' or kind == 'hydrate' or kind == 'payloads'
  local count = is_page and tonumber(ARGV[4]) or 0
  if is_page and (ARGV[3] ~= '0' or ARGV[5] ~= '' or ARGV[7] ~= '1' or count <= 0 or count > MOST_FIELDS) then
    return
  end
  local highest = is_page and ARGV[6] or ''
  local text = redis.call('GETRANGE', KEYS[1], string.format('%d', -16 * (highest == '' and count or 0) - 16), '-1')
  local known = #text / 16 - 1
  if known < 0 or known % 1 ~= 0 or string.sub(text, -3) ~= 'pkd' then
    return
  end
  local held, older, size, flags = struct.unpack('>I4I4I4I1', text, known * 16 + 1)
  local dead = held - size
  if held + older < size then
    return
  end
  if not is_page then
    local found, low = {}, math.max(dead, 0)
    for i = 3, #ARGV do
      local position, is_there = place_of(ARGV[i], low, held)
      if not position or (not is_there and position == low and dead < 0) then
        return
      end
      found[i - 2] = kind == 'contains' and (is_there and 1 or 0) or is_there and held - 1 - position
    end
    return kind == 'contains' and found or {found[1]}
  end
  local records, last = nil, held
  if kind == 'payloads' and (older > 0 or dead < 0 or flags % 2 == 0 or ARGV[1] ~= '1') then
    return
  end
  if highest == '' then
    local wanted = math.min(count, size)
    if known > held or wanted > known or (older > 0 and dead <= 0 and (kind == 'page' or wanted > held)) then
      return
    end
    records = string.sub(text, (known - wanted) * 16 + 1, known * 16)
  elseif older > 0 or dead < 0 then
    return
  else
    local position, is_there = place_of(highest, dead, held)
    if not position then
      return
    end
    last = is_there and position + 1 or position
    records = last > dead and records_at(math.max(dead, last - count), last) or ''
  end
  if kind == 'hydrate' then
    return hydrated(records, ARGV[1] == '1' and 3 or 2)
  end
  local payloads = ''
  if kind == 'payloads' and records ~= '' then
    payloads = payloads_at(last - dead - #records / 16, last - dead)
    if not payloads then
      return
    end
  end
  -- With the flag, the ids in front are no floor.
  return {records, payloads, dead > 0 and flags < WASTE and records_at(dead - 1, dead) or ''}
end

local QUICK = {page = true, payloads = true, hydrate = true, index = true, contains = true}
if QUICK[ARGV[2]] then
  local answer = quick_answer(ARGV[2])
  if answer then
    return answer
  end
end
