-- Return the next items in the order of their keys, or in reverse. KEYS: an index, the values. ARGV: the command that
-- reads the keys, the bounds of the keys in its order, and the number of items.
local keys = redis.call(ARGV[1], KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
if #keys == 0 then
  return {keys, keys}
end
return {keys, redis.call('HMGET', KEYS[2], unpack(keys))}
