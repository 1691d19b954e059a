-- The kind of write that adds one entry with a payload to many timelines, with slack, as sharing.lua says.
--
-- The keys are the directories, then the timelines of each, then the side keys of all. The arguments are the item, the limit by
-- payload and the greatest length (-1: none), the slack, and how many timelines each directory has. {'PART', count, AGAIN, TRIM,
-- LATER} stands in place of the count if something remains to be done: AGAIN holds the positions of the timelines that are to be
-- written again, TRIM those from which more entries are to be dropped than a script may, LATER those whose payloads are to be read.
local function define_share()
  local function delivery()
    define_single()
    return kinds.deliver
  end

  -- Calls `use` with the keys of each timeline of a share that is not written yet, and its position.
  local function each_left(share, directories, sizes, use)
    local done = 0
    for group = 1, #sizes do
      for i = done + 1, done + sizes[group] do
        if share.nexts[i] ~= DONE then
          use(directories[group], share.keys[share.before + i], share.keys[share.before + share.count + i], i)
        end
      end
      done = done + sizes[group]
    end
  end

  -- The shares by the keys of their writes, the mark of a timeline whose delivery needs other keys, and the timelines that a share
  -- of the script has changed.
  local shares, REFUSED, changed = {}, {}, {}

  -- Checks the timelines that need a delivery of their own.
  local function check_left(share, keys, item, most, length, slack, sizes)
    each_left(share, keys, sizes, function(directory, timeline, side, i)
      local is_open = not (share.nexts[i] or refusal or damage)
      if is_open and not delivery()[1]({directory, timeline, side}, item, most, length, slack) then
        share.nexts[i] = REFUSED
      end
    end)
  end

  local function check_share(keys, item, most, length, slack, sizes)
    local share = first_share
    if not share then
      local count = (#keys - #sizes) / 2
      share = share_of(keys, #sizes, count, items[item][1][1], items[item][2][1], most, length, slack)
      read_share(share)
    end
    shares[keys] = share
    check_left(share, keys, item, most, length, slack, sizes)
    return true
  end

  -- Forgets the ends of timelines that an earlier write of the script may have changed.
  local function forget_changed(share)
    for i = 1, share.count do
      local timeline, next = share.keys[share.before + i], share.nexts[i]
      local may_differ = changed[timeline] or states[timeline] or unfinished[timeline] or newest_of[timeline]
      if may_differ and next and next.held then
        share.nexts[i] = false
      end
    end
  end

  local function note_changed(share)
    for i = 1, share.count do
      if share.nexts[i] == DONE then
        local timeline = share.keys[share.before + i]
        changed[timeline], newest_of[timeline] = true, nil
      end
    end
  end

  kinds.share = {check_share, function(keys, place, most, length, slack, sizes)
    local share, again, trim = shares[keys], {}, {}
    if not first_share then
      forget_changed(share)
    end
    if not write_share(share) then
      check_left(share, keys, place, most, length, slack, sizes)
    end
    note_changed(share)
    each_left(share, keys, sizes, function(directory, timeline, side, i)
      local next = share.nexts[i]
      if next == LATER then
        unfinished[timeline] = true
      elseif not (refusal or damage) then
        local count = next == REFUSED and {AGAIN, 0} or delivery()[2]({directory, timeline, side}, place, most, length, slack)
        if type(count) == 'table' then
          unfinished[timeline] = true
          table.insert(count[1] == TRIM and trim or again, i - 1)
          count = count[2]
        end
        share.total = share.total + count
      end
    end)
    local is_left = #again + #trim + #share.later > 0
    return is_left and {PART, share.total, again, trim, share.later} or share.total
  end}
end
