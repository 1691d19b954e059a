-- Adds messages to a queue, all or none, and tells who waits for them. Returns 1, or 0 if they do not fit.
--
-- KEYS: the stream, the messages that somebody has by the time at which they fall due, the pushes of the last minutes.
-- ARGV: the group, a token of this push, how many messages the queue may hold, 1 to drop the oldest, the milliseconds
-- for which a push may be sent again, a channel, what to publish, then the messages.
local stream, due, pushes = KEYS[1], KEYS[2], KEYS[3]
local group, token, most, drops = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local again, channel, digest = tonumber(ARGV[5]), ARGV[6], ARGV[7]
local call = redis.call

if call('ZSCORE', pushes, token) then
  -- The answer to it was lost, and it came again.
  return 1
end
local surplus = call('XLEN', stream) + #ARGV - 7 - most
if surplus > 0 and not drops then
  return 0
end
-- What a user may lack the right for comes before the first write.
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
call('PUBLISH', channel, digest)
if call('EXISTS', stream) == 0 then
  call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
end
local first_kept = 8 + math.max(0, #ARGV - 7 - most)
for i = first_kept, #ARGV do
  call('XADD', stream, '*', 't', token, 'm', ARGV[i])
end
while call('XLEN', stream) > most do
  for _, entry in ipairs(call('XRANGE', stream, '-', '+', 'COUNT', math.min(1000, call('XLEN', stream) - most))) do
    call('XACK', stream, group, entry[1])
    call('XDEL', stream, entry[1])
    call('ZREM', due, entry[1])
  end
end
call('ZADD', pushes, now, token)
call('ZREMRANGEBYSCORE', pushes, '-inf', now - again)
call('PEXPIRE', pushes, again)
return 1
