-- The writes of hashes, and the deletions, which happen when all writes are done.
--
-- While a slot of a Cluster moves, the server runs a script only if all its keys are there, and refuses each call of the script that
-- names a key that the script itself has deleted. So keys are deleted when all writes are done.
local MOST_ARGUMENTS = 4000

-- The work that remains: key -> true; directory -> {timeline -> state, false for none}.
local deleted, listed = {}, {}

local function in_chunks(list, use)
  local total = 0
  for first = 1, #list, MOST_ARGUMENTS do
    total = total + use(unpack(list, first, math.min(first + MOST_ARGUMENTS - 1, #list)))
  end
  return total
end

function M.define_endings()
  if M.finish_writes then
    return
  end
  function M.delete_key(key)
    deleted[key] = true
  end

  function M.delete_fields(t, fields)
    if not deleted[t.side] then
      in_chunks(fields, function(...) return call('HDEL', t.side, ...) end)
    end
  end

  -- Sets fields of a side hash, given as names and values. A hash that was to be deleted stays without its former fields.
  function M.set_fields(t, fields)
    local former = {}
    if #fields > 0 and deleted[t.side] then
      deleted[t.side] = nil
      if call('TYPE', t.side).ok == 'list' then
        call('UNLINK', t.side)
      else
        former = call('HKEYS', t.side)
      end
    end
    in_chunks(fields, function(...) return call('HSET', t.side, ...) end)
    local is_set, old = {}, {}
    for i = 1, #former > 0 and #fields or 0, 2 do
      is_set[fields[i]] = true
    end
    for i = 1, #former do
      if not is_set[former[i]] then
        old[#old + 1] = former[i]
      end
    end
    M.delete_fields(t, old)
  end

  function M.list(directory, timeline, state)
    listed[directory] = listed[directory] or {}
    listed[directory][timeline] = state
  end

  -- Lists the timelines in their directories and deletes keys, when all other writes are done.
  function M.finish_writes()
    for directory, timelines in pairs(listed) do
      local set, gone = {}, {}
      for timeline, state in pairs(timelines) do
        if state then
          set[#set + 1] = timeline
          set[#set + 1] = state
        else
          gone[#gone + 1] = timeline
        end
      end
      in_chunks(set, function(...) return call('HSET', directory, ...) end)
      in_chunks(gone, function(...) return call('HDEL', directory, ...) end)
    end
    local keys = {}
    for key in pairs(deleted) do
      keys[#keys + 1] = key
    end
    in_chunks(keys, function(...) return call('UNLINK', ...) end)
  end
end
