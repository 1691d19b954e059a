-- The kind of write that adds ids to many timelines and trims each. Most are newer than all of their timeline, or than one of its
-- newest entries, and take two calls: one reads the end of the string before the first write, and one writes it. A single older
-- id takes a few calls more. The other timelines are written one by one.
--
-- The keys of a fan-out are the directories, then the timelines of each, and the side key if there is one timeline and the caller
-- names it. Its arguments are the item of all timelines or a list with one for each, whose ids are sorted, oldest first; the
-- greatest length (-1: none); and how many timelines each directory has. {'PART', count, AGAIN, TRIM} stands in place of its
-- count if something remains to be done: AGAIN holds the positions of the timelines that need their side key, TRIM those from
-- which more entries are to be dropped than a script may.
local function define_fan_out()
  -- Where the reading begins: at the newest id, until an id is late.
  local from, is_settled = TOP_FROM, false
  local items_of, ignored = {}, {}
  -- The trailers of the timelines that get ids at the top, by the positions of their keys. It is nothing if another write of the
  -- script may change timelines between the check of this write and the write.
  local tops, fan_outs = {}, 0
  for i = 1, #writes do
    local kind = writes[i][1]
    fan_outs = fan_outs + (kind == 'fan_out' and 1 or kind == 'set' and 0 or 2)
  end
  if fan_outs > 1 then
    tops = nil
  end
  -- The newest entries are read together with the trailer if a late id belongs among so many.
  local MOST_TAIL, AROUND = 128, 4

  -- An item as a fan-out uses it: its ids, and the records of all.
  local function prepared_item(item)
    local found = items_of[item]
    if not found then
      found = prepared(items[item][1])
      found.item = item
      items_of[item] = found
    end
    return found
  end

  -- Returns whether ids are older than the newest one of a timeline. That one itself, added again, is not.
  local function is_late(newest, item)
    return not is_less(newest, item.first) and (item.count > 1 or sub(newest, 1, BYTES) ~= item.first)
  end

  -- Decides how much of each end the fan-out reads, given the first timeline for which an id is late. Returns the end of that.
  local function settle(timeline, item)
    is_settled, from = true, NEWEST_FROM
    local newest = call('GETRANGE', timeline, from, '-1')
    local known = #newest / BYTES - 1
    local found = read_trailer(sub(newest, -BYTES))
    if item.count > 1 or not found or found.older > 0 or found.in_string <= known then
      return newest
    end
    local at, is_there = search(newest, item.first, 0, known)
    if at > 0 or is_there then
      late_by = known - at
    else
      place_of(timeline, item.first, found.held, found.held - found.in_string, found.held - known, newest)
    end
    from = TOP_FROM
    if late_by and late_by + AROUND <= MOST_TAIL then
      from = string.format('%d', -BYTES * (late_by + AROUND + 1))
    end
    return late_by and late_by > known and call('GETRANGE', timeline, from, '-1') or newest
  end

  -- Returns the part of an end that the slower writes take.
  local function for_load(newest)
    return sub(newest, #newest > NEWEST_READ * BYTES and NEWEST_FROM or TOP_FROM)
  end

  -- Remembers the end of a timeline, which was read. A key of another type refuses the write.
  local function remember_end(timeline, item, newest)
    if type(newest) ~= 'string' then
      if newest.err and string.find(newest.err, 'WRONGTYPE', 1, true) then
        check_type(timeline, 'string')
      end
      refusal = refusal or newest.err
      return
    end
    if not is_settled and #newest == 2 * BYTES and is_late(newest, item) then
      newest = settle(timeline, item)
    end
    newest_of[timeline] = newest
    return newest
  end

  -- Returns whether a write of its own, with the side key, must reach the timeline.
  local function check_slowly(directory, timeline, side, newest, count)
    check_type(directory, 'hash')
    M.define_steps()
    return M.needs_side(M.load({directory, timeline, side}, for_load(newest)), count) and not side
  end

  -- Returns the side key of the only timeline of a fan-out, nothing if the fan-out did not declare it.
  local function side_of(keys, sizes)
    return sizes[1] == 1 and not sizes[2] and keys[3] or nil
  end

  -- Checks that the string of the only timeline of a fan-out is as long as its trailer says.
  local function check_length(timeline, top)
    local found = top or (newest_of[timeline] and read_trailer(sub(newest_of[timeline], -BYTES)))
    if found and is_cut(timeline, found.held) then
      damage = timeline
    end
  end

  local function check_fan_out(keys, given, _, sizes)
    local position, need_sides = #sizes, false
    local same = type(given) == 'number' and prepared_item(given)
    for group = 1, #sizes do
      for i = position + 1, position + sizes[group] do
        local timeline = keys[i]
        local item = same or prepared_item(given[i - #sizes])
        local known = first_tops[i + 1]
        local newest = known or pcall('GETRANGE', timeline, from, '-1')
        local found = known or (#newest >= 2 * BYTES and read_trailer(sub(newest, -BYTES)))
        local is_quick = found and found.in_string + item.count <= MOST_IN_STRING
        if known or (tops and is_quick and #newest == 2 * BYTES and unpacked(TIME, newest) < item.time) then
          tops[i] = found
        else
          newest = remember_end(timeline, item, newest)
          if refusal then
            return true
          end
          if not is_quick then
            need_sides = check_slowly(keys[group], timeline, side_of(keys, sizes), newest, item.count) or need_sides
          end
        end
      end
      position = position + sizes[group]
    end
    if sizes[1] == 1 and not sizes[2] then
      check_length(keys[2], tops and tops[2])
    end
    return not (is_atomic and need_sides)
  end

  local function add_at_top(timeline, item, found, most)
    local newest = append(timeline, item, found, most)
    if not tops then
      newest_of[timeline] = newest
    end
    return item.count
  end

  -- Returns the trailer of a timeline that has got so many ids, and how many entries it has then.
  local function next_trailer(found, count, most)
    if found.most ~= most then
      found.most, found.next = most, {}
    end
    local next = found.next[count]
    if not next then
      local size, held = found.size + count, found.held + count
      if most >= 0 and size > most then
        size = most
      end
      next = {size = size, is_full = found.older == 0 and held - size - 1 > slack_of(size)}
      next.trailer = trailer_of(held, found.older, size, 0)
      found.next[count] = next
    end
    return next
  end

  -- Merges ids into the newest entries. Returns how many were new, nothing if they belong elsewhere.
  local function merge(timeline, newest, item, found, most)
    local known = #newest / BYTES - 1
    if known == 1 and found.held > 1 then
      newest = call('GETRANGE', timeline, NEWEST_FROM, '-1')
      known = #newest / BYTES - 1
    end
    local dead = known > found.in_string and known - found.in_string or 0
    if dead == known then
      return
    end
    local count, start, text
    local at, is_there = search(newest, item.first, dead, known)
    if at == dead and not is_there then
      return
    end
    if item.count == 1 then
      count, start = is_there and 0 or 1, at
      text = is_there and '' or item.first .. sub(newest, at * BYTES + 1, known * BYTES)
    else
      local parts
      parts, count, start = merged(newest, dead, known, item.ids, 1, item.count, ignored)
      text = table.concat(parts)
    end
    local next = next_trailer(found, count, most)
    if next.is_full then
      return
    end
    if count > 0 or next.size < found.size then
      write_at(timeline, found.held - known + (count > 0 and start or known), text .. next.trailer)
      newest_of[timeline] = false
    end
    return count
  end

  -- Adds to a timeline as a write of its own. Returns how many entries were new, and whether it is to be written 'again'
  -- with its side key, or more of it is to be dropped ('trim').
  local function add_slowly(directory, timeline, side, item, length)
    local keys = {directory, timeline, side}
    define_single()
    local newest = newest_of[timeline]
    local t = M.load(keys, newest and newest ~= '' and for_load(newest))
    if unfinished[timeline] or (not t.side and (M.has_side(t) or (not is_atomic and M.needs_side(t, item.count)))) then
      unfinished[timeline] = true
      return 0, AGAIN
    end
    local added, is_unfinished, rest = M.add(keys, M.prepare(keys), item.item, length)
    unfinished[timeline] = is_unfinished or rest
    return added, rest and AGAIN or is_unfinished and TRIM
  end

  -- Adds to a timeline in two calls. Returns how many entries were new, nothing if that cannot be.
  local function add_quickly(timeline, item, most)
    local newest = newest_of[timeline] or call('GETRANGE', timeline, from, '-1')
    local trailer = sub(newest, -BYTES)
    local found = newest ~= '' and read_trailer(trailer)
    if not found or (found.in_string + item.count > MOST_IN_STRING and not is_atomic) then
      return
    end
    local top, added = sub(newest, -2 * BYTES, -BYTES - 1), nil
    if is_less(top, item.first) then
      return add_at_top(timeline, item, found, most)
    elseif item.count == 1 and top == item.first and (most < 0 or found.size <= most) then
      added = 0
    elseif item.count == 1 and found.older == 0 then
      added = add_late(timeline, item.first, found.held, found.size, most, newest, next_trailer(found, 1, most).trailer)
      newest_of[timeline] = added ~= 1 and newest
    else
      added = merge(timeline, newest, item, found, most)
    end
    if added and expiry > 0 then
      call('PEXPIRE', timeline, expiry)
    end
    return added
  end

  kinds.fan_out = {check_fan_out, function(keys, given, most, sizes)
    local position, total = #sizes, 0
    local left, is_left = {[AGAIN] = {}, [TRIM] = {}}, false
    local same = type(given) == 'number' and prepared_item(given)
    for group = 1, #sizes do
      for i = position + 1, position + sizes[group] do
        local timeline, item = keys[i], same or prepared_item(given[i - #sizes])
        local added
        if tops and tops[i] then
          added = add_at_top(timeline, item, tops[i], most)
        elseif not states[timeline] and not unfinished[timeline] then
          added = add_quickly(timeline, item, most)
        end
        if not added then
          local rest
          added, rest = add_slowly(keys[group], timeline, side_of(keys, sizes), item, most)
          if rest then
            is_left = true
            table.insert(left[rest], i - #sizes - 1)
          end
        end
        total = total + added
      end
      position = position + sizes[group]
    end
    return is_left and {PART, total, left[AGAIN], left[TRIM]} or total
  end}
end
