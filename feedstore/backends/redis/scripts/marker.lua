-- The beginning of every script that writes. It compares the marker of the namespace, on a Cluster the bucket's copy of
-- the marker, with the one that the caller remembers. If they differ, because the store was emptied or restored, the
-- script returns UNMARKED and writes nothing.
-- KEYS[1]: the marker. ARGV[1]: the format. ARGV[2]: the number of buckets.
local marker = redis.call('HMGET', KEYS[1], 'format', 'buckets')
if marker[1] ~= ARGV[1] or marker[2] ~= ARGV[2] then
  return 'UNMARKED'
end
