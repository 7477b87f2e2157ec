-- index.lua: how a write keeps the indexes of a record. It is not called but included, in the place
-- of a line that names it: a function would cost each write a closure and a cell for every local it
-- uses, together as much as three commands. KEYS, ARGV and Returns are those of the script that
-- includes it, and these locals of it:
--
-- p         what comes before every key of the model
-- n         number of indexed columns
-- names, specs, positions: where in ARGV come the names of the columns, their specs and the
--           positions of their new values (0 for null), each less one; positions is nil if the
--           record goes
-- old       HMGET's reply: the row number, then the stored values of the columns
-- known     whether there is a record
-- row       the row as a number
-- due       when the first record expires, or false
-- segment, offset: set here to the row's segment and the offset in it, where anything changes.
--           They are text: a number that is an argument of several calls is turned into text once,
--           as a conversion costs as much as a small command
--
-- How a column is indexed is its spec: a byte for the keys that its index has (INDEX_..: see
-- model/index.rs), one for the kind of its values (KIND_..), one that says whether it is unique, and the
-- ordinal of its new value. The spec - is a column whose old index is being dropped.

-- First all changes are planned, which reads and so fails on a key of another type. A step of the
-- plan takes SLOTS places, the first of which say what it is and the key that it changes:
--   STEP_BITMAP   SLOT_ADDS: whether the row comes or goes; SLOT_SIZE: bytes of the bitmap
--   STEP_SET      SLOT_ADDS; SLOT_SIZE: its members, or PROMOTE if it becomes a bitmap;
--                 SLOT_VALUES: the key of the values in order, or false; SLOT_VALUE, SLOT_ORDINAL:
--                 of the value
--   STEP_SORTED   SLOT_GONE: the member that goes, or false; SLOT_SCORE and SLOT_COMES: of the one
--                 that comes, or false
--   STEP_UNIQUE   SLOT_GONE: the value that goes, or false; SLOT_COMES: the one that comes, or
--                 false
local plan, planned, containers, place_in_key = nil, 0, nil, nil
for i = 1, n do
  local before, new = nil, nil
  if known then before = old[i + 1] end
  if positions then new = ARGV[tonumber(ARGV[positions + i])] or false end
  local index, kind, unique
  if before ~= new and ARGV[specs + i] ~= '-' then
    index, kind, unique = byte(ARGV[specs + i], 1, 3)
    -- Equal numbers are one value in an index; stored, they keep their forms.
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
      -- Room for four steps at once; a table that grows is copied each time.
      plan = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
      offset = row % SEGMENT
      segment, offset = text('%d', (row - offset) / SEGMENT), text('%d', offset)
      containers, place_in_key = p .. KEY_BITMAP, ':' .. segment
    end
    local name = ARGV[names + i]
    if unique == INDEX_UNIQUE then
      local owners, mark, gone = p .. KEY_UNIQUE .. name, text('%d', row), false
      if before and call('HGET', owners, before) == mark then gone = before end
      if new then
        local owner = call('HGET', owners, new)
        if owner and owner ~= mark then
          -- A record that expired, or that the server evicted, has lost its values, also while
          -- nobody has cleaned up after it.
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
      -- A column that has only a sorted set has a container for null, which is not in the sorted
      -- set.
      if value ~= nil and index ~= INDEX_NONE and (index ~= INDEX_SORTED or not value) then
        local container = value and containers .. name .. place_in_key .. ':' .. value or containers .. name .. place_in_key
        local step, size = STEP_BITMAP, call('STRLEN', container)
        if size == 0 then
          container = p .. KEY_SET .. sub(container, #containers + 1)
          step, size = STEP_SET, call('SCARD', container)
          local values = index == INDEX_ORDINALS and value and p .. KEY_VALUES .. name
          -- The value may be new, or go with its last row.
          if values and size < 2 then call('ZCARD', values) end
          -- With its share of the rows so far, it will have enough for a bitmap when the segment is
          -- full.
          if adds and size >= PROMOTE_EARLY and size * SEGMENT >= 8 * call('STRLEN', p .. KEY_LIVE .. segment) * PROMOTE then size = PROMOTE end
          plan[planned + SLOT_VALUES], plan[planned + SLOT_VALUE], plan[planned + SLOT_ORDINAL] = values, value, sub(ARGV[specs + i], 4)
        end
        plan[planned + SLOT_STEP], plan[planned + SLOT_KEY], plan[planned + SLOT_ADDS], plan[planned + SLOT_SIZE] = step, container, adds, size
        planned = planned + SLOTS
      end
    end
    if index == INDEX_SORTED or index == INDEX_BOTH then
      local set, mark = p .. KEY_SORTED .. name, struct.pack('>I4', row)
      call('ZCARD', set)
      local gone, score, comes = false, false, false
      -- Most numbers are their own score, and then the row alone is the member. What is no number
      -- is not: see places().
      local plain = kind == KIND_INTEGER and #(before or '') < 16 and (not new or #new < 16 and string.find(new, '^%-?%d+$'))
        or kind == KIND_FLOAT and (not new or #new < 300 and string.find(new, '^%-?%d+%.%d+$'))
      local place = not plain and places() or nil
      if before then
        local _, tail
        if plain then tail = '' else _, tail = place(kind, before) end
        gone = tail .. mark
      end
      if new then
        local tail
        if plain then score, tail = new, '' else score, tail = place(kind, new) end
        comes = tail .. mark
      end
      plan[planned + SLOT_STEP], plan[planned + SLOT_KEY], plan[planned + SLOT_GONE] = STEP_SORTED, set, gone ~= comes and gone
      plan[planned + SLOT_SCORE], plan[planned + SLOT_COMES] = score, comes
      planned = planned + SLOTS
    end
  end
end
