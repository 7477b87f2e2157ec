-- put.lua: inserts or replaces one record together with its index entries. Other scripts include
-- this file. KEYS and ARGV are those of the including script. This file ends with a return, so it
-- is the last part of a script or of a function. This file uses these locals of that script:
--
-- p, mode, schema, width, n, a, life, x, d: ARGV[1] to ARGV[9] of save.lua
-- names     where the names begin in ARGV, less one
-- meta      the program's registration, due, rows and count in meta, if they are known, else nil
-- several   whether the including script writes rows and count in meta
-- key       the record's hash; if Redis assigns the id, the part of the key before the id
-- at        where the record's arguments begin in ARGV, less one:
--             the id as the row directory holds it
--             the number of arguments of the record
--             z, the number of columns that are null
--             if life is not "": position in ARGV of the column with the record's deadline, or
--               milliseconds that the record lives
--             n index specs (see index.lua)
--             n positions in ARGV of the indexed columns' values, 0 for null
--             a times: position of the value in ARGV (0 if it has none), the value, a parameter,
--               what Redis assigns:
--               key          the parameter is the greatest number or ""
--               increment    the next number; the parameter is the greatest number or ""
--               version      the parameter is the next version
--               created_at, updated_at: the parameter is ns or ms
--             z names of columns that are null
--             name and value of every other column
--             d times: name and value of a foreign column, if the record is new
--
-- Returns   1 if the record is new, else 0; if a > 0, this and then the a assigned values
--           or nil, then a reason and its details: { schema, .. } (see stored.lua), { exists },
--           { missing }, { conflict, version }, { duplicate, column, value }, { assigned, column,
--           value }, { overflow, column, value, least, greatest } (a version without least and
--           greatest), { corrupt, why }
--
-- If a record does not exist, but Redis has assigned its number, the record was deleted:
-- { missing }. If Redis has not assigned the number, or the mode is insert, the reason is
-- { assigned, .. }.
--
-- Everything is read and checked before the first write, as Lua cannot undo a write. If a save
-- fails, a number that Redis assigned is used up, and expired records may have been removed.
local id, last, specs = ARGV[at + 1], at + ARGV[at + 2], at + (life == '' and 3 or 4)
local positions, groups = specs + n, specs + 2 * n
local first_null = groups + 4 * a + 1
local first_pair = first_null + ARGV[at + 3]

local old, known = nil, false
local unassigned = false
for i = 1, a do
  local group = groups + 4 * i
  if ARGV[group] == 'key' and ARGV[group - 2] == '0' then unassigned = group end
end
if not unassigned then
  old = call('HMGET', key, '#', unpack(ARGV, names + 1, names + n + a))
  known = old[1]
end
if not meta then
  if known then
    meta = call('HMGET', p .. KEY_META, schema, 'due')
  else
    meta = call('HMGET', p .. KEY_META, schema, 'due', 'rows', 'count')
  end
end
if meta[1] ~= '1' then
  -- include shared/stored.lua
end

local due, clock, now = meta[2], nil, nil
if due or life ~= '' then
  clock = call('TIME')
  now = clock[1] * 1000 + floor(clock[2] / 1000)
  if due and tonumber(due) <= now then
    -- This writes nothing. On a full server it fails, as the save would fail without expired
    -- records.
    call('SETRANGE', p .. KEY_TEMPORARY .. '1', 0, '')
    local limit = 8
    -- include write/due.lua
    meta = call('HMGET', p .. KEY_META, schema, 'due', 'rows', 'count')
    if known then
      old = call('HMGET', key, '#', unpack(ARGV, names + 1, names + n + a))
      known = old[1]
    end
  end
end
if mode == 'insert' and known then return refuse('exists') end
if mode == 'update' and not known then return refuse('missing') end

if unassigned then
  local name = ARGV[names + n + (unassigned - groups) / 4]
  local seq = 'seq:' .. name
  local greatest = ARGV[unassigned - 1]
  if greatest ~= '' and call('HGET', p .. KEY_META, seq) == greatest then return refuse('overflow', name, greatest, '1', greatest) end
  call('HINCRBY', p .. KEY_META, seq, 1)
  -- HINCRBY's reply would become a double.
  id = call('HGET', p .. KEY_META, seq)
  ARGV[unassigned - 2], key = id, key .. id
  if ARGV[unassigned - 3] ~= '0' then ARGV[tonumber(ARGV[unassigned - 3])] = id end
  old = { false }
  if call('EXISTS', key) == 1 then return refuse('exists') end
end

local row, rows, count, free, created = nil, nil, nil, nil, 0
if known then
  row = tonumber(known)
  if not row or row < 0 or row >= 2147483648 or row % 1 ~= 0 then return refuse('corrupt', 'the row number in field # is not one of this model\'s') end
else
  rows, count = tonumber(meta[3] or 0), tonumber(meta[4] or 0)
  row, free = rows, {}
  if count < rows then
    free = call('ZRANGE', p .. KEY_FREE, 0, 0, 'WITHSCORES')
    local hole = free[1] and call('BITPOS', p .. KEY_LIVE .. free[1], 0) or -1
    if hole >= 0 and hole < SEGMENT then row = math.min(rows, free[1] * SEGMENT + hole) end
  end
  if row >= 2147483648 then return refuse('corrupt', 'all 2,147,483,648 rows are in use') end
end

-- Sequences that an import moves to the numbers of its records, so that none is assigned again:
-- their names in meta, each followed by a number.
local sequences = nil
for i = 1, a do
  local group, name = groups + 4 * i, ARGV[names + n + i]
  local what, stored = ARGV[group], old[n + i + 1]
  local value, parameter, absent = ARGV[group - 2], ARGV[group - 1], false
  if mode == 'import' and (value ~= '0' or what == 'version') then
    -- An import keeps what its records have.
    if (what == 'key' or what == 'increment') and byte(value) ~= 45 then
      local seq, greatest = 'seq:' .. name, '9223372036854775807'
      local last = call('HGET', p .. KEY_META, seq) or '0'
      if #value > 19 or #value == 19 and value > greatest then return refuse('overflow', name, value, '1', greatest) end
      if #value > #last or #value == #last and value > last then
        sequences = sequences or {}
        sequences[#sequences + 1], sequences[#sequences + 2] = seq, value
      end
    end
  elseif what == 'key' then
    absent = not known and not unassigned
  elseif what == 'version' then
    if not known and mode == 'insert' then
      value = '1'
    elseif value == (known and stored or '0') then
      if parameter == '' then return refuse('overflow', name, value) end
      value = parameter
    else
      return refuse('conflict', known and (stored or '0') or '')
    end
  elseif what == 'created_at' or what == 'updated_at' then
    -- A record that is older than the column has 0 in it.
    if what == 'created_at' and stored and stored ~= '0' then
      value = stored
    else
      clock = clock or call('TIME')
      if parameter == 'ns' then value = text('%d%06d000', clock[1], clock[2]) else value = text('%d%03d', clock[1], clock[2] / 1000) end
    end
  elseif value == '0' then
    if not stored or stored == '0' then
      local seq = 'seq:' .. name
      if parameter ~= '' and call('HGET', p .. KEY_META, seq) == parameter then return refuse('overflow', name, parameter, '1', parameter) end
      call('HINCRBY', p .. KEY_META, seq, 1)
      stored = call('HGET', p .. KEY_META, seq)
    end
    value = stored
  elseif not known then
    absent = true
  elseif stored ~= value then
    return refuse('assigned', name, value)
  end
  if absent then
    local last = call('HGET', p .. KEY_META, 'seq:' .. name) or '0'
    local once = string.find(value, '^[1-9]') and (#value < #last or #value == #last and value <= last)
    if once and mode ~= 'insert' then return refuse('missing') end
    return refuse('assigned', name, value)
  end
  ARGV[group - 2] = value
  if ARGV[group - 3] ~= '0' then ARGV[tonumber(ARGV[group - 3])] = value end
end

-- The values of `deadline`: see expire.lua.
local deadline = nil
if life == 'ns' or life == 'ms' then
  deadline = ARGV[tonumber(ARGV[at + 4])] or false
  if deadline then
    local time = tonumber(life == 'ms' and deadline or sub(deadline, 1, -7)) or 0
    -- Rounded up, so that no record expires before its deadline.
    if life == 'ns' and sub(deadline, -6) ~= '000000' then time = time + 1 end
    deadline = math.max(0, time)
  end
elseif life == 'renew' or life == 'new' and not known then
  deadline = now + ARGV[at + 4]
end

if known then
  -- The foreign columns of a record stay as they are stored, those without an index, too.
  last = last - 2 * d
  for i = n - x + 1, n do
    if old[i + 1] then
      ARGV[#ARGV + 1] = old[i + 1]
      ARGV[positions + i] = #ARGV
    else
      ARGV[positions + i] = '0'
    end
  end
end

local segment, offset
-- include write/index.lua

if deadline == nil and due and known and plan and call('PTTL', key) >= 0 then deadline = true end
local kept
if deadline then
  kept = { [''] = sub(key, #p + #KEY_RECORD + 1) }
  for i = 1, n do kept[ARGV[names + i]] = ARGV[tonumber(ARGV[positions + i])] end
end
if deadline or due then
  call('ZCARD', p .. KEY_TTL)
  call('HLEN', p .. KEY_EXPIRING .. floor(row / CHUNK))
end
if sequences then call('HSET', p .. KEY_META, unpack(sequences)) end
if not known then
  known = text('%d', row)
  if not segment then
    offset = row % SEGMENT
    segment, offset = text('%d', (row - offset) / SEGMENT), text('%d', offset)
  end
  -- The types of the row directory and of the live rows have not been checked yet. An entry of a
  -- string means nothing without the bit of its row: if the second write fails, nothing has
  -- happened. An entry of a hash would be one too many, so the live rows are checked first.
  if width == '0' then
    call('GETBIT', p .. KEY_LIVE .. segment, offset)
    call('HSET', p .. KEY_DIRECTORY .. floor(row / CHUNK), row % CHUNK, id)
  else
    if unassigned then
      local bytes = tonumber(width)
      -- include shared/entry.lua
      id = entry
    end
    local at = row % DIRECTORY
    local directory = text('%s%s%d', p, KEY_ENTRIES, (row - at) / DIRECTORY)
    if at == 0 and row > 0 then call('SETRANGE', directory, DIRECTORY * width - 1, '\0') end
    call('SETRANGE', directory, text('%d', at * width), id)
  end
  call('SETBIT', p .. KEY_LIVE .. segment, offset, '1')
  -- include write/enter.lua
  meta[3], meta[4] = text('%d', row == rows and rows + 1 or rows), text('%d', count + 1)
  if not several then call('HSET', p .. KEY_META, 'rows', meta[3], 'count', meta[4]) end
  if free[2] == '1' then call('ZREM', p .. KEY_FREE, free[1]) elseif free[1] then call('ZINCRBY', p .. KEY_FREE, -1, free[1]) end
  created = 1
end
-- include write/apply.lua
if created == 0 and first_pair > first_null then
  for i = first_null, first_pair - 1, 4000 do call('HDEL', key, unpack(ARGV, i, math.min(i + 3999, first_pair - 1))) end
end
if created == 1 then
  call('HSET', key, '#', known, unpack(ARGV, first_pair, math.min(first_pair + 3999, last)))
elseif first_pair < last then
  call('HSET', key, unpack(ARGV, first_pair, math.min(first_pair + 3999, last)))
end
for i = first_pair + 4000, last, 4000 do call('HSET', key, unpack(ARGV, i, math.min(i + 3999, last))) end
-- include write/expire.lua

if a == 0 then return created end
local reply = { created }
for i = 1, a do reply[i + 1] = ARGV[groups + 4 * i - 2] end
return reply
