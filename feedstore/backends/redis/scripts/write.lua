-- Carries out writes, all of them or none: every key's type is checked before the first write.
--
-- KEYS: the keys of each write, one after the other. ARGV[1]: msgpack of {items, writes}. An item is {ids, payloads or
-- nothing}, which writes name by its position. A write is {what, its arguments...}. ARGV[2]: the milliseconds after which
-- a timeline that nobody writes to expires; 0 for never. Returns what each write counts.
local program = cmsgpack.unpack(ARGV[1])
local items, writes, expiry = program[1], program[2], tonumber(ARGV[2])

local TIMELINE = {'hash', 'zset', 'hash'}
local KV = {'zset', 'hash'}
local kinds = {}

kinds.add = {TIMELINE, function(keys, item, length)
  local directory, timeline, payloads = keys[1], keys[2], keys[3]
  local ids, data = items[item][1], items[item][2]
  local state = load(directory, timeline, payloads)
  local added = in_chunks(scored(ids), function(...) return call('ZADD', timeline, ...) end)
  keep_payloads(payloads, state, ids, data)
  if length >= 0 then
    drop_oldest(timeline, payloads, state, length)
  end
  save(directory, timeline, payloads, state, expiry)
  return added
end}

kinds.remove = {TIMELINE, function(keys, item)
  local directory, timeline, payloads = keys[1], keys[2], keys[3]
  local ids = items[item][1]
  local state = load(directory, timeline, payloads)
  local removed = in_chunks(ids, function(...) return call('ZREM', timeline, ...) end)
  keep_payloads(payloads, state, ids)
  save(directory, timeline, payloads, state, expiry)
  return removed
end}

kinds.trim = {TIMELINE, function(keys, length)
  local directory, timeline, payloads = keys[1], keys[2], keys[3]
  local state = load(directory, timeline, payloads)
  local dropped = drop_oldest(timeline, payloads, state, length)
  save(directory, timeline, payloads, state, expiry)
  return dropped
end}

kinds.delete = {TIMELINE, function(keys)
  call('HDEL', keys[1], keys[2])
  call('UNLINK', keys[2], keys[3])
end}

-- The timelines of one bucket, which only its directory knows; they lie in its slot.
kinds.flush = {{'hash'}, function(keys)
  local payloads = string.sub(keys[1], 1, -2) .. 'p:'
  for _, timeline in ipairs(call('HKEYS', keys[1])) do
    call('UNLINK', timeline, payloads .. string.sub(timeline, #payloads + 1))
  end
  call('UNLINK', keys[1])
end}

kinds.set = {{'hash'}, function(keys, item)
  local ids, data = items[item][1], items[item][2]
  local fields = {}
  for i = 1, #ids do
    fields[2 * i - 1] = ids[i]
    fields[2 * i] = data[i]
  end
  return in_chunks(fields, function(...) return call('HSET', keys[1], ...) end)
end}

kinds.unset = {{'hash'}, function(keys, item)
  return in_chunks(items[item][1], function(...) return call('HDEL', keys[1], ...) end)
end}

kinds.clear = {{'hash'}, function(keys)
  call('UNLINK', keys[1])
end}

kinds.upsert = {KV, function(keys, key, data)
  call('ZADD', keys[1], 0, key)
  call('HSET', keys[2], key, data)
end}

kinds.discard = {KV, function(keys, key)
  call('ZREM', keys[1], key)
  call('HDEL', keys[2], key)
end}

kinds.empty = {KV, function(keys)
  call('UNLINK', keys[1], keys[2])
end}

local position = 0
for _, write in ipairs(writes) do
  for _, expected in ipairs(kinds[write[1]][1]) do
    position = position + 1
    local actual = call('TYPE', KEYS[position]).ok
    if actual ~= expected and actual ~= 'none' then
      return redis.error_reply('WRONGTYPE ' .. KEYS[position] .. ' is a ' .. actual .. ', not a ' .. expected)
    end
  end
end

local results = {}
position = 0
for number, write in ipairs(writes) do
  local kind = kinds[write[1]]
  local keys = {}
  for i = 1, #kind[1] do
    keys[i] = KEYS[position + i]
  end
  position = position + #keys
  results[number] = kind[2](keys, write[2], write[3]) or false
end
return results
