-- Returns the next items in key order. KEYS: an index, the values. ARGV: the bounds of the keys, and how many.
local keys = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
if #keys == 0 then
  return {keys, keys}
end
return {keys, redis.call('HMGET', KEYS[2], unpack(keys))}
