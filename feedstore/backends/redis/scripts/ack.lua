-- Remove a received message if its last delivery is the given one. Return 1 if it was removed, else 0.
-- KEYS: the stream, the delivered messages. ARGV: the group, the message's id, its token, the number of the delivery.
local stream, due = KEYS[1], KEYS[2]
local group, id, token, delivery = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local call = redis.call

local entry = call('XRANGE', stream, id, id)[1]
-- Only entries of a push have a token.
local fields = entry and entry[2]
if not entry or (fields[1] == 't' and fields[3] == 'm' and fields[2] or '') ~= token then
  return 0
end
local pending = call('XPENDING', stream, group, id, id, 1)[1]
if not pending or pending[4] ~= delivery then
  return 0
end
if call('XLEN', stream) == 1 then
  call('UNLINK', stream, due)
else
  call('XACK', stream, group, id)
  call('XDEL', stream, id)
  call('ZREM', due, id)
end
return 1
