-- Returns a slice, the timeline's state and its oldest entry, as they were at one moment.
-- KEYS: a directory, a timeline, its payloads if they are wanted. ARGV: the command that reads the ids,
-- and what stands behind its key.
local ids = redis.call(ARGV[1], KEYS[2], unpack(ARGV, 2))
local payloads = KEYS[3] and values_of(KEYS[3], ids) or {}
return {ids, payloads, redis.call('HGET', KEYS[1], KEYS[2]), redis.call('ZRANGE', KEYS[2], 0, 0)}
