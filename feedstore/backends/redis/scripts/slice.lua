-- Returns the ids and the payloads of a slice. KEYS: a timeline, its payloads. ARGV: the command that reads
-- the ids, and what stands behind its key.
local ids = redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))
local payloads = {}
for first = 1, #ids, 4000 do
  local part = redis.call('HMGET', KEYS[2], unpack(ids, first, math.min(first + 3999, #ids)))
  for i = 1, #part do
    payloads[first + i - 1] = part[i]
  end
end
return {ids, payloads}
