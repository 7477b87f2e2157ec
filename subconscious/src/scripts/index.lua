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
-- How a column is indexed is its spec: c (containers), s (sorted set), b (both), k (containers of a
-- column whose few values are kept in order) or u (none of these), in upper case if it is unique,
-- then the kind of its value and the ordinal of its new value. The spec - is a column whose old
-- index is being dropped.

-- First all changes are planned, which reads and so fails on a key of another type. A step for a
-- bitmap: key, bytes, whether it adds. For a set: the same with 0 bytes, then members, key of the
-- ordered values or false, value, ordinal. For a sorted set: key, false, member that goes or false,
-- score, member that comes or false. For the owners of unique values: key, true, value that goes or
-- false, value that comes or false.
local plan, planned, containers, place_in_key = nil, 0, nil, nil
for i = 1, n do
  local before, new = nil, nil
  if known then before = old[i + 1] end
  if positions then new = ARGV[tonumber(ARGV[positions + i])] or false end
  local how, kind
  if before ~= new and ARGV[specs + i] ~= '-' then
    how, kind = byte(ARGV[specs + i], 1, 2)
    -- Equal numbers are one value in an index; stored, they keep their forms.
    if kind <= 102 then
      if kind == 100 then -- d
        -- include decimal.lua
        before, new = plain_decimal(before), plain_decimal(new)
      else -- f
        if before == '-0.0' then before = '0.0' end
        if new == '-0.0' then new = '0.0' end
      end
    end
  end
  if how and before ~= new then
    if not plan then
      -- Room for four steps at once; a table that grows is copied each time.
      plan = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
      offset = row % SEGMENT
      segment, offset = text('%d', (row - offset) / SEGMENT), text('%d', offset)
      containers, place_in_key = p .. KEY_BITMAP, ':' .. segment
    end
    local name, spec = ARGV[names + i], ARGV[specs + i]
    if how < 97 then
      how = how + 32
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
      plan[planned + 1], plan[planned + 2], plan[planned + 3], plan[planned + 4] = owners, true, gone, new
      planned = planned + 7
    end
    local changes, sides = nil, 2
    if kind == 108 then
      -- include elements.lua
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
      if value ~= nil and how ~= 117 and (how ~= 115 or not value) then
        local container = value and containers .. name .. place_in_key .. ':' .. value or containers .. name .. place_in_key
        local bytes = call('STRLEN', container)
        if bytes == 0 then
          container = p .. KEY_SET .. sub(container, #containers + 1)
          local members, values = call('SCARD', container), how == 107 and value and p .. KEY_VALUES .. name
          -- The value may be new, or go with its last row.
          if values and members < 2 then call('ZCARD', values) end
          -- With its share of the rows so far, it will have enough for a bitmap when the segment is
          -- full.
          if adds and members >= PROMOTE_EARLY and members * SEGMENT >= 8 * call('STRLEN', p .. KEY_LIVE .. segment) * PROMOTE then members = PROMOTE end
          plan[planned + 4], plan[planned + 5], plan[planned + 6], plan[planned + 7] = members, values, value, sub(spec, 3)
        end
        plan[planned + 1], plan[planned + 2], plan[planned + 3] = container, bytes, adds
        planned = planned + 7
      end
    end
    if how == 115 or how == 98 then
      local set, mark = p .. KEY_SORTED .. name, struct.pack('>I4', row)
      call('ZCARD', set)
      local gone, score, come = false, false, false
      -- Most numbers are their own score, and then the row alone is the member. What is no number
      -- is not: see places().
      local plain = kind == 105 and #(before or '') < 16 and (not new or #new < 16 and string.find(new, '^%-?%d+$'))
        or kind == 102 and (not new or #new < 300 and string.find(new, '^%-?%d+%.%d+$'))
      local place = not plain and places() or nil
      if before then
        local _, tail
        if plain then tail = '' else _, tail = place(kind, before) end
        gone = tail .. mark
      end
      if new then
        local tail
        if plain then score, tail = new, '' else score, tail = place(kind, new) end
        come = tail .. mark
      end
      plan[planned + 1], plan[planned + 2], plan[planned + 3] = set, false, gone ~= come and gone
      plan[planned + 4], plan[planned + 5] = score, come
      planned = planned + 7
    end
  end
end
