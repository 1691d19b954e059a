-- Carries out the writes of a program, which states.lua describes. The script checks each key's type before the first write.
--
-- Returns the count of each write, or the answer that stands in its place. If all writes happen or none, {'AGAIN', positions of
-- writes} is returned where keys are missing, and {'TOO_MANY', number, 'trim' or 'read'} where a script would have to drop or
-- read more entries than it may, and {'UNMET', position of a write} whose condition does not hold; then nothing was written.
local MOST_WORDS = 7
local DEFINITIONS = {fan_out = define_fan_out, share = define_share, set = define_items, unset = define_items, clear = define_items,
  upsert = define_items, discard = define_items, empty = define_items, compare = define_items}

local function kind_of(name)
  if not kinds[name] then
    (DEFINITIONS[name] or define_single)()
  end
  return kinds[name]
end

-- Returns the answer of a script that has found a key of another type or a damaged timeline, nothing if it has found neither.
local function failure()
  if refusal then
    return redis.error_reply(refusal)
  end
  return damage and DAMAGED .. damage
end

local position, keys_of, again, is_refused = 1, {}, {}, {}
for number, write in ipairs(writes) do
  local keys = {unpack(KEYS, position + 1, position + write[2])}
  position = position + write[2]
  keys_of[number] = keys
  if not kind_of(write[1])[1](keys, unpack(write, 3, MOST_WORDS)) then
    again[#again + 1] = number - 1
    is_refused[number] = true
  end
  if is_unmet and not is_done and is_atomic then
    return {'UNMET', number - 1}
  end
end
local failed = failure()
if failed then
  return failed
end
if large then
  return 'LARGE ' .. large
end
if is_done then
  local done = {}
  for number, write in ipairs(writes) do
    done[number] = write[1] == 'compare' and 1 or 0
  end
  return done
end
if is_atomic and #again > 0 then
  return {AGAIN, again}
end
if is_atomic and dropping > MOST_DROPPED_ATOMICALLY then
  return {'TOO_MANY', dropping, 'trim'}
end
if is_atomic and reading > MOST_READ_ATOMICALLY then
  return {'TOO_MANY', reading, 'read'}
end

local results = {}
for number, write in ipairs(writes) do
  if is_refused[number] then
    results[number] = {AGAIN, 0}
    -- Later writes of its timelines are carried out after it.
    for _, key in ipairs(keys_of[number]) do
      unfinished[key] = true
    end
  else
    results[number] = kinds[write[1]][2](keys_of[number], unpack(write, 3, MOST_WORDS)) or false
  end
  if refusal or damage then
    break
  end
end
finish()
return failure() or results
