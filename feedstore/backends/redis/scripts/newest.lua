-- Reads the newest entries of a timeline that lie in its string, before the functions of other reads are made.
local MOST_FIELDS = 4000

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

local function newest(kind, count)
  local text = redis.call('GETRANGE', KEYS[1], string.format('%d', -16 * (count + 1)), '-1')
  local known = #text / 16 - 1
  if known < 1 or known % 1 ~= 0 or string.sub(text, -3) ~= 'pkd' then
    return
  end
  local held, older, size = struct.unpack('>I4I4I4', text, known * 16 + 1)
  local wanted, dead = math.min(count, size), held - size
  if known > held or wanted > known or (older > 0 and dead <= 0 and (kind == 'page' or wanted > held)) then
    return
  end
  local records = string.sub(text, (known - wanted) * 16 + 1, known * 16)
  if kind == 'hydrate' then
    return hydrated(records, ARGV[1] == '1' and 3 or 2)
  end
  if dead <= 0 then
    return {records, {}, ''}
  end
  return {records, {}, redis.call('GETRANGE', KEYS[1], string.format('%d', 16 * dead - 16), string.format('%d', 16 * dead - 1))}
end

if ARGV[3] == '0' and ARGV[5] == '' and ARGV[6] == '' and ARGV[7] == '1' and (ARGV[2] == 'page' or ARGV[2] == 'hydrate') then
  local count = tonumber(ARGV[4])
  local found = count > 0 and count <= MOST_FIELDS and newest(ARGV[2], count)
  if found then
    return found
  end
end
