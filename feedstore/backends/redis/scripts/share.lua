-- The kind of write that adds one entry with a payload to many timelines, with slack. Most timelines are older than the entry, and
-- have slack left: such an add takes three calls, of which the last two write. The others are written one by one, as deliveries.
-- A fourth call would check the type of each list before the first write. The script finds a foreign key when it writes the list.
--
-- The keys are the directories, then the timelines of each, then the side keys of all. The arguments are the item, the limit by
-- payload and the greatest length (-1: none), the slack, and how many timelines each directory has. {'PART', count, AGAIN, TRIM}
-- stands in place of the count if something remains to be done: AGAIN holds the positions of the timelines that are to be written
-- again, TRIM those from which more entries are to be dropped than a script may.
local function define_share()
  local next_ends = {}

  -- Returns where an entry at the top is written in a timeline with a trailer, and the trailer then; false if that takes more.
  local function next_of(trailer)
    local found = next_ends[trailer]
    if found == nil then
      found = false
      if sub(trailer, -3) == MARK then
        local held, older, size, flags = unpacked(TRAILER, trailer)
        if flags % 2 == PAYLOADS and older == 0 and size > 0 and held >= size and held < MOST_IN_STRING then
          found = {held = held, size = size + 1, offset = string.format('%d', held * BYTES)}
          found.trailer = trailer_of(held + 1, 0, size + 1, flags)
        end
      end
      next_ends[trailer] = found
    end
    return found
  end

  local function delivery()
    define_single()
    return kinds.deliver
  end

  local function read_end(timeline)
    local newest = pcall('GETRANGE', timeline, TOP_FROM, '-1')
    if type(newest) ~= 'string' then
      if newest.err and string.find(newest.err, 'WRONGTYPE', 1, true) then
        check_type(timeline, 'string')
      end
      refusal = refusal or newest.err
      return ''
    end
    return newest
  end

  -- Returns the result of next_of for an entry in a timeline that ends with `newest`; false, too, if the slack has no room for it.
  local function next_at_top(newest, id, most_entries)
    local next = #newest == 2 * BYTES and next_of(sub(newest, -BYTES))
    return next and next.size <= most_entries and is_less(newest, id) and next
  end

  -- Calls `use` with the keys of each timeline and its position.
  local function each_timeline(keys, sizes, use)
    local position, sides = #sizes, (#keys - #sizes) / 2
    for group = 1, #sizes do
      for i = position + 1, position + sizes[group] do
        use(keys[group], keys[i], keys[i + sides], i - #sizes - 1)
      end
      position = position + sizes[group]
    end
  end

  -- The results of next_at_top by item and timeline, and the timelines that an earlier write of the script has changed.
  local refused, nexts, changed = {}, {}, {}

  local function check_share(keys, item, most, length, slack, sizes)
    -- Several writes of a script may hand out one item.
    local id, found = items[item][1][1], nexts[item] or {}
    nexts[item] = found
    local is_single = sizes[1] == 1 and not sizes[2]
    each_timeline(keys, sizes, function(directory, timeline, side)
      if refusal or damage then
        return
      end
      local next = next_at_top(read_end(timeline), id, length + slack)
      if next and is_single and is_cut(timeline, next.held) then
        damage = timeline
      elseif next then
        found[timeline] = next
      elseif not refusal and not delivery()[1]({directory, timeline, side}, item, most, length, slack) then
        refused[timeline] = true
      end
    end)
    return true
  end

  -- Adds at the top. Returns whether that was done: a list that the server has evicted leaves a timeline without payloads.
  local function add_at_top(timeline, side, id, payload, next)
    local count = pcall('RPUSH', side, payload)
    if type(count) ~= 'number' then
      check_type(side, 'list')
      refusal = refusal or count.err
      return true
    end
    if count ~= next.size then
      call('RPOP', side)
      return false
    end
    if next.id ~= id then
      next.id, next.text = id, id .. next.trailer
    end
    call('SETRANGE', timeline, next.offset, next.text)
    changed[timeline], newest_of[timeline] = true, nil
    if expiry > 0 then
      call('PEXPIRE', timeline, expiry)
      call('PEXPIRE', side, expiry)
    end
    return true
  end

  kinds.share = {check_share, function(keys, place, most, length, slack, sizes)
    local total, is_left = 0, false
    local left, found = {[AGAIN] = {}, [TRIM] = {}}, nexts[place]
    local id, payload = items[place][1][1], items[place][2][1]
    each_timeline(keys, sizes, function(directory, timeline, side, position)
      if refusal or damage then
        return
      end
      local next = found[timeline]
      local is_known = not (changed[timeline] or states[timeline] or unfinished[timeline] or newest_of[timeline])
      if next and is_known and next.size <= length + slack and add_at_top(timeline, side, id, payload, next) then
        total = total + 1
        return
      end
      local count = refused[timeline] and {AGAIN, 0} or delivery()[2]({directory, timeline, side}, place, most, length, slack)
      if type(count) == 'table' then
        is_left = true
        unfinished[timeline] = true
        table.insert(left[count[1] == TRIM and TRIM or AGAIN], position)
        count = count[2]
      end
      total = total + count
    end)
    return is_left and {PART, total, left[AGAIN], left[TRIM]} or total
  end}
end
