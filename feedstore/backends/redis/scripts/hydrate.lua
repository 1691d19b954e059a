-- Returns the ids of a slice and the activities that they stand for.
-- KEYS: a timeline, then the activities of every bucket. ARGV: the arguments of ZRANGE.
local buckets = #KEYS - 1
local ids = redis.call('ZRANGE', KEYS[1], unpack(ARGV))
local activities = {}
if buckets == 1 and #ids > 0 and #ids <= 4000 then
  return {ids, redis.call('HMGET', KEYS[2], unpack(ids))}
end
for i = 1, #ids do
  local id = ids[i]
  activities[i] = redis.call('HGET', KEYS[2 + string.byte(id, 16) % buckets], id)
end
return {ids, activities}
