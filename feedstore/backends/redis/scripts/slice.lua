-- Returns the ids and the payloads of a slice. KEYS: a timeline, its payloads. ARGV: the arguments of ZRANGE.
local ids = redis.call('ZRANGE', KEYS[1], unpack(ARGV))
local payloads = {}
for first = 1, #ids, 4000 do
  local part = redis.call('HMGET', KEYS[2], unpack(ids, first, math.min(first + 3999, #ids)))
  for i = 1, #part do
    payloads[first + i - 1] = part[i]
  end
end
return {ids, payloads}
