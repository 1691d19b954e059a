-- Returns a slice, the timeline's state and its oldest entry, as they were at one moment.
-- KEYS: a directory, a timeline, its payloads if they are wanted. ARGV: the command that reads the ids,
-- and what stands behind its key.
local ids = redis.call(ARGV[1], KEYS[2], unpack(ARGV, 2))
local payloads = {}
if KEYS[3] then
  for first = 1, #ids, 4000 do
    local part = redis.call('HMGET', KEYS[3], unpack(ids, first, math.min(first + 3999, #ids)))
    for i = 1, #part do
      payloads[first + i - 1] = part[i]
    end
  end
end
return {ids, payloads, redis.call('HGET', KEYS[1], KEYS[2]), redis.call('ZRANGE', KEYS[2], 0, 0)}
