-- Returns the ids of a slice and the activities that they stand for.
-- KEYS: a timeline, then the activities of every bucket. ARGV: the command that reads
-- the ids, and what stands behind its key.
local buckets = #KEYS - 1
local ids = redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))
if buckets == 1 then
  return {ids, values_of(KEYS[2], ids)}
end
local activities = {}
for i = 1, #ids do
  local id = ids[i]
  activities[i] = redis.call('HGET', KEYS[2 + (string.byte(id, 16) or 0) % buckets], id)
end
return {ids, activities}
