-- Add all messages to a queue or none, and publish to the consumers that wait. Return 1; 0 if the messages do not fit; 2 if
-- the push must be sent again, because only a part of the old messages was dropped.
--
-- KEYS: the marker, the stream, the delivered messages by the time of their redelivery, the tokens of the pushes of the
-- last minutes. ARGV: the format, the number of buckets, the group, the token of this push, the most messages of the queue,
-- 1 to drop the oldest messages, the milliseconds for which a push may be sent again, a channel, the published bytes, then
-- the messages.
local stream, due, pushes = KEYS[2], KEYS[3], KEYS[4]
local group, token, most, drops = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1'
local again, channel, digest = tonumber(ARGV[7]), ARGV[8], ARGV[9]
local messages = #ARGV - 9
local MOST_DROPPED = 200
local call = redis.call

if call('ZSCORE', pushes, token) then
  -- The answer to this push was lost, and it was sent again.
  return 1
end
local surplus = call('XLEN', stream) + messages - most
if surplus > 0 and not drops then
  return 0
end

local function drop(count)
  local ids = {}
  for i, entry in ipairs(call('XRANGE', stream, '-', '+', 'COUNT', count)) do
    ids[i] = entry[1]
  end
  call('XACK', stream, group, unpack(ids))
  call('XDEL', stream, unpack(ids))
  call('ZREM', due, unpack(ids))
end

if surplus > MOST_DROPPED + messages then
  drop(MOST_DROPPED)
  return 2
end
-- Commands that the user may not be allowed to call come before the first write.
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
call('PUBLISH', channel, digest)
if call('EXISTS', stream) == 0 then
  call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
end
for i = 10 + math.max(0, messages - most), #ARGV do
  call('XADD', stream, '*', 't', token, 'm', ARGV[i])
end
if call('XLEN', stream) > most then
  drop(call('XLEN', stream) - most)
end
call('ZADD', pushes, now, token)
call('ZREMRANGEBYSCORE', pushes, '-inf', now - again)
call('PEXPIRE', pushes, again)
return 1
