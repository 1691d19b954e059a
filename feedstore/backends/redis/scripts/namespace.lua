-- Return the format and the number of buckets of a namespace, after marking the namespace if it has no marker.
-- KEYS: the namespace's marker. ARGV: the format, the number of buckets.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'buckets', ARGV[2])
end
return redis.call('HMGET', KEYS[1], 'format', 'buckets')
