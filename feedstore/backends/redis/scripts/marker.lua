-- What every script that writes begins with. The marker of the namespace (on a Cluster the bucket's copy of it) is what
-- the caller remembers of it, or nothing is written: the store may have been emptied or restored meanwhile.
-- KEYS[1]: the marker. ARGV[1]: the format. ARGV[2]: the number of buckets. Answers UNMARKED where they differ.
local marker = redis.call('HMGET', KEYS[1], 'format', 'buckets')
if marker[1] ~= ARGV[1] or marker[2] ~= ARGV[2] then
  return 'UNMARKED'
end
