-- The writes of hashes, and the deletions, which happen when all writes are done.
--
-- While a slot of a Cluster moves, the server runs a script only if all its keys are there, and refuses each call of the script that
-- names a key that the script itself has deleted. So keys are deleted when all writes are done, and so are fields whose
-- deletion might delete their hash.
local MOST_ARGUMENTS = 4000

-- The work that is left: key -> true; hash -> {field -> true}; directory -> {timeline -> state, false for none}.
local deleted, deleted_fields, listed = {}, {}, {}
-- The timelines of the hashes from which fields are deleted.
local owners = {}

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
    deleted[key], deleted_fields[key] = true, nil
  end

  function M.delete_fields(t, fields)
    if deleted[t.side] or #fields == 0 then
      return
    end
    if not deleted_fields[t.side] and call('HLEN', t.side) > #fields then
      in_chunks(fields, function(...) return call('HDEL', t.side, ...) end)
      return
    end
    local found = deleted_fields[t.side] or {}
    for i = 1, #fields do
      found[fields[i]] = true
    end
    deleted_fields[t.side], owners[t.side] = found, t
  end

  -- Sets fields of a side hash, given as names and values. A hash that was to be deleted stays without its former fields.
  function M.set_fields(t, fields)
    if #fields == 0 then
      return
    end
    if deleted[t.side] then
      deleted[t.side] = nil
      M.delete_fields(t, call('HKEYS', t.side))
    end
    in_chunks(fields, function(...) return call('HSET', t.side, ...) end)
    local found = deleted_fields[t.side]
    if found then
      for i = 1, #fields, 2 do
        found[fields[i]] = nil
      end
    end
  end

  function M.list(directory, timeline, state)
    listed[directory] = listed[directory] or {}
    listed[directory][timeline] = state
  end

  -- Deletes what is to be deleted, and lists the timelines in their directories, when all writes are done.
  function M.finish_writes(lost_payloads)
    for side, fields in pairs(deleted_fields) do
      local names, left = {}, call('HLEN', side)
      for field in pairs(fields) do
        names[#names + 1] = field
      end
      for first = 1, #names, MOST_ARGUMENTS do
        if left > 0 then
          left = left - call('HDEL', side, unpack(names, first, math.min(first + MOST_ARGUMENTS - 1, #names)))
        end
      end
      if left == 0 then
        lost_payloads(owners[side])
      end
    end
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
