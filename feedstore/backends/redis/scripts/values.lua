-- What the scripts that read share: the values of a hash's fields, false for each that is not there.
local function values_of(hash, fields)
  local values = {}
  for first = 1, #fields, 4000 do
    local part = redis.call('HMGET', hash, unpack(fields, first, math.min(first + 3999, #fields)))
    for i = 1, #part do
      values[first + i - 1] = part[i]
    end
  end
  return values
end
