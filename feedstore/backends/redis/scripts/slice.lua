-- Returns the ids and the payloads of a slice. KEYS: a timeline, its payloads. ARGV: the command that reads
-- the ids, and what stands behind its key.
local ids = redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))
return {ids, values_of(KEYS[2], ids)}
