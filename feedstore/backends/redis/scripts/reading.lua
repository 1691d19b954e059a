-- Reads one timeline. KEYS: the timeline; its side key, if ARGV[1] is '1'; the activities of every bucket, if the script
-- hydrates. ARGV[2]: the name of a reader below; then its arguments. The script answers DAMAGED for a damaged timeline, and
-- AGAIN if it needs the side key, which is not among its keys.
local side = ARGV[1] == '1' and KEYS[2] or nil
M.define_timelines()
local t = M.opened(KEYS[1], side)
if t.is_damaged then
  return 'DAMAGED'
end

local function slice()
  return M.bounds_of(t, tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7] == '1')
end

local readers = {}

function readers.slice()
  return M.read(t, slice())
end

function readers.page()
  return {M.read(t, slice()), '', M.floor_of(t)}
end

-- A page with the payloads, as one msgpack array: the server and the client pass a string in a fifth of the time of a list.
function readers.payloads()
  local first, last = slice()
  local records, payloads = M.read(t, first, last), {}
  if t.has_payloads and side and records ~= '' then
    if t.older > 0 then
      payloads = values_of(side, M.ids_in(records))
    else
      payloads = redis.call('LRANGE', side, string.format('%d', first), string.format('%d', last - 1))
      t.is_damaged = #payloads > 0 and #payloads ~= last - first
    end
  end
  return {records, #payloads > 0 and cmsgpack.pack(payloads) or '', M.floor_of(t)}
end

function readers.within()
  local first, last = slice()
  return math.max(last - first, 0)
end

function readers.index()
  local position, is_there = M.find(t, ARGV[3])
  return {is_there and t.size - 1 - position}
end

function readers.contains()
  local found = {}
  for i = 3, #ARGV do
    found[i - 2] = M.lookup(t, ARGV[i]) and 1 or 0
  end
  return found
end

function readers.hydrate()
  return hydrated(M.read(t, slice()), side and 3 or 2)
end

local answer = readers[ARGV[2]]()
if t.is_damaged then
  return 'DAMAGED'
end
if t.is_cut_off or (t.has_payloads and ARGV[2] == 'payloads' and not side) then
  return 'AGAIN'
end
return answer
