-- Returns the activities of ids, false for each that is not there. KEYS: the activities of every bucket. ARGV: the ids.
local call, byte, buckets, found = redis.call, string.byte, #KEYS, {}
for i = 1, #ARGV do
  local id = ARGV[i]
  found[i] = call('HGET', KEYS[byte(id, 16) % buckets + 1], id)
end
return found
