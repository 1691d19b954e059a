-- Adds messages to a queue, all or none, and publishes to those who wait for them. Returns 1; 0 if they do not fit; 2 if
-- so many old ones were to be dropped that the push has to be sent again.
--
-- KEYS: the marker, the stream, the messages that consumers have by the time at which they fall due, the pushes of the
-- last minutes. ARGV: the format, the number of buckets, the group, a token of this push, how many messages the queue may
-- hold, 1 to drop the oldest, the milliseconds for which a push may be sent again, a channel, what to publish, then the
-- messages.
local stream, due, pushes = KEYS[2], KEYS[3], KEYS[4]
local group, token, most, drops = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1'
local again, channel, digest = tonumber(ARGV[7]), ARGV[8], ARGV[9]
local messages = #ARGV - 9
local MOST_DROPPED = 200
local call = redis.call

if call('ZSCORE', pushes, token) then
  -- The answer to it was lost, and it came again.
  return 1
end
local surplus = call('XLEN', stream) + messages - most
if surplus > 0 and not drops then
  return 0
end

local function drop(count)
  for _, entry in ipairs(call('XRANGE', stream, '-', '+', 'COUNT', count)) do
    call('XACK', stream, group, entry[1])
    call('XDEL', stream, entry[1])
    call('ZREM', due, entry[1])
  end
end

if surplus > MOST_DROPPED + messages then
  drop(MOST_DROPPED)
  return 2
end
-- What a user may lack the right for comes before the first write.
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
