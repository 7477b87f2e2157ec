-- index.lua: plans how a write changes the indexes of a record. Other scripts include this file.
-- KEYS, ARGV and Returns are those of the including script. A function instead would cost each
-- write a closure and a cell for every local that it uses, together as much as three commands. This
-- file uses these locals of that script:
--
-- p         prefix of all keys of the model
-- n         number of indexed columns
-- names, specs, positions: where three lists begin in ARGV, each less one: the names of the
--           columns, their index specs, and the positions of their new values (0 for null).
--           `positions` is nil if the record is deleted
-- old       HMGET's reply: the row number, then the stored values of the columns
-- known     whether there is a record
-- row       the row as a number
-- due       when the first record expires, or false
-- segment, offset: set here to the row's segment and the offset in it, if anything changes. They
--           are text: converting a number costs as much as a small command, so a number that is an
--           argument of several calls is converted once
--
-- A column's index spec says how it is indexed: a byte for the keys of its index (INDEX_..: see
-- model/index.rs), a byte for the kind of its values (KIND_..), a byte that says whether it is
-- unique, and the ordinal of its new value. The index spec - stands for a column whose old index is
-- being dropped.

-- All changes are planned first. Planning reads the keys, so it fails on a key of another type. A
-- step of the plan has SLOTS slots. SLOT_STEP says what the step is, and SLOT_KEY which key it
-- changes. The others depend on the step:
--   STEP_LIST     a posting list. SLOT_ADDS: whether the row is added or removed; SLOT_SIZE: number
--                 of its members, or PROMOTE if the value is to be divided
--   STEP_SET      the set of a container. SLOT_ADDS: as above; SLOT_SIZE: number of its members, or
--                 PROMOTE if it becomes a bitmap
--   STEP_BITMAP   the bitmap of a container. SLOT_ADDS: as above; SLOT_SIZE: its length in bytes
--   STEP_SORTED   SLOT_GONE: the member to remove, or false; SLOT_SCORE and SLOT_COMES: score and
--                 member to add, or false; SLOT_SCORES: the key of the part of the row, whose
--                 scores have the same score by row, or false; SLOT_ZONE: the new zone of this
--                 part, and then that of its segment if it changes; false if the part's stays, or
--                 nil if the part has no zone and gets none
--   STEP_ENTERED  the same, where the sorted set is done: see enter.lua
--   STEP_UNIQUE   SLOT_GONE: the value to remove, or false; SLOT_COMES: the value to add, or false
-- The first three also have SLOT_NAME: the column; SLOT_VALUE: what follows the column or the
-- segment in the key; SLOT_ORDINAL: the value's ordinal, or false unless the column's values are
-- kept in order
local plan, planned, containers, place_in_key, mark = nil, 0, nil, nil, nil
local part, place_of_part, score_at = nil, nil, nil
for i = 1, n do
  local before, new = nil, nil
  if known then before = old[i + 1] end
  if positions then new = ARGV[tonumber(ARGV[positions + i])] or false end
  local index, kind, unique
  if before ~= new and ARGV[specs + i] ~= '-' then
    index, kind, unique = byte(ARGV[specs + i], 1, 3)
    -- Equal numbers are one value in an index. In a record, they keep their forms.
    if kind == KIND_DECIMAL then
      -- include shared/decimal.lua
      before, new = plain_decimal(before), plain_decimal(new)
    elseif kind == KIND_FLOAT then
      if before == '-0.0' then before = '0.0' end
      if new == '-0.0' then new = '0.0' end
    end
  end
  if index and before ~= new then
    if not plan then
      -- Room for four steps, as a table that grows is copied each time.
      plan = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
      offset = row % SEGMENT
      segment, offset = text('%d', (row - offset) / SEGMENT), text('%d', offset)
      containers, place_in_key, mark = p .. KEY_BITMAP, ':' .. segment, text('%d', row)
    end
    local name = ARGV[names + i]
    if unique == INDEX_UNIQUE then
      local owners, gone = p .. KEY_UNIQUE .. name, false
      if before and call('HGET', owners, before) == mark then gone = before end
      if new then
        local owner = call('HGET', owners, new)
        if owner and owner ~= mark then
          -- A record with a deadline that expired, or that the server evicted, has lost its values,
          -- even if its entries are not removed yet.
          local kept = due and call('HGET', p .. KEY_EXPIRING .. floor(owner / CHUNK), owner % CHUNK)
          if not kept or call('HGET', p .. KEY_RECORD .. cmsgpack.unpack(kept)[''], '#') == owner then
            return refuse('duplicate', name, new)
          end
        end
      end
      plan[planned + SLOT_STEP], plan[planned + SLOT_KEY] = STEP_UNIQUE, owners
      plan[planned + SLOT_GONE], plan[planned + SLOT_COMES] = gone, new
      planned = planned + SLOTS
    end
    local changes, sides = nil, 2
    if kind == KIND_LIST then
      -- include shared/elements.lua
      changes = elements(before, new)
      sides = #changes / 2
    end
    for side = 1, sides do
      local value, adds
      if changes then
        value, adds = changes[2 * side - 1], changes[2 * side]
      else
        adds = side == 2
        if adds then value = new else value = before end
      end
      -- A column that has only a sorted set has a container for null, as null is not in the sorted
      -- set.
      if value ~= nil and index ~= INDEX_NONE and (index ~= INDEX_SORTED or not value) then
        local rest = value and ':' .. value or ''
        local step, target = STEP_BITMAP, containers .. name .. place_in_key .. rest
        local size, ordinal = call('STRLEN', target), index == INDEX_ORDINALS and value and sub(ARGV[specs + i], 4)
        if size == 0 then
          step, target = STEP_LIST, p .. KEY_LIST .. name .. rest
          size = call('SCARD', target)
          local divided = size == 0 and call('HGET', p .. KEY_DIVIDED .. name, rest)
          if divided then
            step, target = STEP_SET, p .. KEY_SET .. name .. place_in_key .. rest
            size = call('SCARD', target)
          end
          -- The value may appear or vanish, so the type of this key is checked.
          if ordinal and size < 2 then call('ZCARD', p .. KEY_VALUES .. name) end
          -- At its present share of the rows, it will have enough for a bitmap when the segment is
          -- full. Of a posting list, this is the share of the first segment.
          if adds and size >= PROMOTE_EARLY and size * SEGMENT >= 8 * call('STRLEN', p .. KEY_LIVE .. (divided and segment or '0')) * PROMOTE then size = PROMOTE end
          if size >= PROMOTE and not divided then call('HLEN', p .. KEY_DIVIDED .. name) end
        end
        plan[planned + SLOT_STEP], plan[planned + SLOT_KEY], plan[planned + SLOT_ADDS], plan[planned + SLOT_SIZE] = step, target, adds, size
        plan[planned + SLOT_NAME], plan[planned + SLOT_VALUE], plan[planned + SLOT_ORDINAL] = name, rest, ordinal
        planned = planned + SLOTS
      end
    end
    if index == INDEX_SORTED or index == INDEX_BOTH then
      local set, member = p .. KEY_SORTED .. name, struct.pack('>I4', row)
      -- A row that is new is entered first: see enter.lua.
      if known then call('ZCARD', set) end
      local gone, score, comes = false, false, false
      -- Most numbers are their own score, and their member is the row alone. Texts that are no
      -- numbers are not: see places().
      local plain = kind == KIND_INTEGER and #(before or '') < 16 and (not new or #new < 16 and string.find(new, '^%-?%d+$'))
        or kind == KIND_FLOAT and (not new or #new < 300 and string.find(new, '^%-?%d+%.%d+$'))
      local place = not plain and places() or nil
      if before then
        local _, tail
        if plain then tail = '' else _, tail = place(kind, before) end
        gone = tail .. member
      end
      if new then
        local tail
        if plain then score, tail = new, '' else score, tail = place(kind, new) end
        comes = tail .. member
      end
      plan[planned + SLOT_STEP], plan[planned + SLOT_KEY], plan[planned + SLOT_GONE] = STEP_SORTED, set, gone ~= comes and gone
      plan[planned + SLOT_SCORE], plan[planned + SLOT_COMES] = score, comes
      local scores, zone = false, nil
      if kind ~= KIND_BYTES then
        if not score_at then
          local at = row % PART
          part, score_at = (row - at) / PART, text('%d', ZONES + at * SCORE)
          place_of_part = ':' .. text('%d', part)
        end
        scores = p .. KEY_SCORES .. name .. place_of_part
        zone = zones and zones[scores]
        if not zone then
          zone = call('GETRANGE', scores, PART_ZONE, PART_ZONE_END)
          if zones then zones[scores] = zone end
        end
        local low = comes and tonumber(score)
        local high = low
        -- include write/widen.lua
        if zone then
          local of_part = zone
          low, high = struct.unpack('<dd', zone)
          zone = call('GETRANGE', text('%s%s%s:%d', p, KEY_SCORES, name, part - part % PARTS), SEGMENT_ZONE, SEGMENT_ZONE_END)
          -- include write/widen.lua
          zone = of_part .. (zone or '')
        end
      end
      plan[planned + SLOT_SCORES], plan[planned + SLOT_ZONE] = scores, zone
      planned = planned + SLOTS
    end
  end
end
