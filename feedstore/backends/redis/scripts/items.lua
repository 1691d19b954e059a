-- The kinds of writes of activities, which are the fields of a hash, and of key-value items.
local function define_items()
  local function check_hash(keys)
    return check_type(keys[1], 'hash') or true
  end

  -- The items after the earlier writes of an atomic batch, for its conditions: by the key of the hash of values, a table
  -- of key -> bytes, or false for a removed item. An item that is not in the table is as stored. If the hash is in
  -- `emptied`, it does not exist.
  local planned, emptied = {}, {}

  local function check_items(keys, key, data)
    if not check_type(keys[1], 'zset') or not check_type(keys[2], 'hash') then
      return true
    end
    planned[keys[2]] = planned[keys[2]] or {}
    if key then
      planned[keys[2]][key] = data or false
    end
    return true
  end

  local function check_emptied(keys)
    planned[keys[2]], emptied[keys[2]] = {}, true
    return check_items(keys)
  end

  local function value_of(keys, key)
    local found = planned[keys[2]] and planned[keys[2]][key]
    if found == nil then
      return not emptied[keys[2]] and call('HGET', keys[2], key)
    end
    return found
  end

  local function is_as_expected(keys, key, expected)
    return value_of(keys, key) == expected
  end

  kinds.set = {check_hash, function(keys, item)
    local ids, data = items[item][1], items[item][2]
    local fields = {}
    for i = 1, #ids do
      fields[2 * i - 1] = ids[i]
      fields[2 * i] = data[i]
    end
    return in_chunks(fields, function(...) return call('HSET', keys[1], ...) end)
  end}

  kinds.unset = {check_hash, function(keys, item)
    return in_chunks(items[item][1], function(...) return call('HDEL', keys[1], ...) end)
  end}

  kinds.clear = {check_hash, function(keys)
    call('UNLINK', keys[1])
  end}

  local function upsert(keys, key, data)
    call('ZADD', keys[1], ZERO, key)
    call('HSET', keys[2], key, data)
  end

  kinds.upsert = {check_items, upsert}

  kinds.discard = {check_items, function(keys, key)
    call('ZREM', keys[1], key)
    call('HDEL', keys[2], key)
  end}

  kinds.empty = {check_emptied, function(keys)
    call('UNLINK', keys[1], keys[2])
  end}

  -- Write an item if its bytes are `expected`; false means that it does not exist. If `data` is false, only check. The
  -- last key holds the tokens of the conditional writes of the last minutes: a write whose answer was lost is sent again,
  -- and must not compare with its own result.
  kinds.compare = {function(keys, key, expected, data, token)
    if not check_type(keys[3], 'zset') then
      return true
    end
    check_items(keys)
    if refusal then
      return true
    end
    if call('ZSCORE', keys[3], token) then
      is_done = true
    elseif not is_as_expected(keys, key, expected) then
      is_unmet = true
    elseif data then
      planned[keys[2]][key] = data
    end
    return true
  end, function(keys, key, expected, data, token, again)
    if is_unmet then
      return 0
    end
    local time = call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    if data and data ~= expected then
      upsert(keys, key, data)
    end
    call('ZADD', keys[3], now, token)
    call('ZREMRANGEBYSCORE', keys[3], '-inf', now - again)
    call('PEXPIRE', keys[3], again)
    return 1
  end}
end

