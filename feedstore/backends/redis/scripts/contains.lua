-- Returns for each id whether a timeline holds it, as 1 or 0. KEYS: a timeline. ARGV: the ids.
local found = {}
for i = 1, #ARGV do
  found[i] = redis.call('ZSCORE', KEYS[1], ARGV[i]) and 1 or 0
end
return found
