-- Return the oldest visible messages, and hide them for a while: first those that are due for redelivery, then new ones.
-- The result has for each message its id, its token, the number of the delivery, and its bytes.
--
-- KEYS: the stream, the delivered messages by the time of their redelivery. ARGV: the group, the number of messages, the
-- milliseconds for which to hide them.
local stream, due = KEYS[1], KEYS[2]
local group, limit, hidden = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local call = redis.call
local found = {}

if call('EXISTS', stream) == 0 then
  return found
end
local time = call('TIME')
local now = time[1] * 1000 + time[2] / 1000

local function give(entry, delivery)
  -- Messages of one call become due in their order: a double holds fractions of a millisecond.
  call('ZADD', due, string.format('%.4f', now + hidden + #found / 4000), entry[1])
  local fields = entry[2]
  local is_message = fields[1] == 't' and fields[3] == 'm'
  found[#found + 1] = entry[1]
  found[#found + 1] = is_message and fields[2]
  found[#found + 1] = delivery
  found[#found + 1] = is_message and fields[4]
end

for _, id in ipairs(call('ZRANGEBYSCORE', due, '-inf', string.format('%.4f', now), 'LIMIT', 0, limit)) do
  -- An error, for a member that is not an id, has no first element.
  local entry = redis.pcall('XCLAIM', stream, group, 'c', 0, id)[1]
  if entry then
    give(entry, call('XPENDING', stream, group, id, id, 1)[1][4])
  else
    call('ZREM', due, id)
  end
end
limit = limit - #found / 4
if limit > 0 then
  local answer = call('XREADGROUP', 'GROUP', group, 'c', 'COUNT', limit, 'STREAMS', stream, '>')
  for _, entry in ipairs(answer and answer[1] and answer[1][2] or {}) do
    give(entry, 1)
  end
end
return found
