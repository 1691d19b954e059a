-- Removes a message that was received, if nobody has received it since. Returns 1, or 0 if it did not.
-- KEYS: the stream, the messages that somebody has. ARGV: the group, the message's id, its token, the delivery.
local stream, due = KEYS[1], KEYS[2]
local group, id, token, delivery = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local call = redis.call

local entry = call('XRANGE', stream, id, id)[1]
-- An entry that no push made has no token.
local fields = entry and entry[2]
if not entry or (fields[1] == 't' and fields[3] == 'm' and fields[2] or '') ~= token then
  return 0
end
local pending = call('XPENDING', stream, group, id, id, 1)[1]
if not pending or pending[4] ~= delivery then
  return 0
end
call('XACK', stream, group, id)
call('XDEL', stream, id)
call('ZREM', due, id)
if call('XLEN', stream) == 0 then
  call('UNLINK', stream, due)
end
return 1
