-- save.lua: inserts or replaces one record together with its index entries. Includes rows.lua, index.lua and apply.lua.
--
-- KEYS[1]   the record's hash; where Redis assigns the id, what comes before the id in it
-- ARGV[1]   what comes before every key of the model
-- ARGV[2]   s: insert or replace, i: insert only, u: replace only
-- ARGV[3]   fingerprint of the schema
-- ARGV[4]   the id as the row directory holds it
-- ARGV[5]   width of an entry of the row directory, 0 where it is made of hashes
-- ARGV[6]   n, the number of indexed columns
-- ARGV[7]   a, the number of columns that Redis assigns
-- ARGV[8]   z, the number of columns that are null
-- then      n names of indexed columns; n specs (see index.lua); n positions in ARGV of their values, 0 for null;
--           a times: name, position of its value in ARGV or 0 where it has none, its value, greatest value or "", k if it is the key
--           z names of columns that are null; name and value of every other column
--
-- Returns   1 or 0, whether the record is new; if a > 0 that and then the a assigned values
--           or nil, what is wrong, ..: { schema, stored fingerprint }, { exists }, { missing },
--           { assigned, column }, { exhausted, column }, { corrupt, why }
--
-- Everything is read and checked before the first write, as Lua takes nothing back; only a number that Redis assigned
-- is used up by a save that fails.
local p, key, mode = ARGV[1], KEYS[1], ARGV[2]
local n, a = tonumber(ARGV[6]), tonumber(ARGV[7])
local first_null = 9 + 3 * n + 5 * a
local first_pair = first_null + ARGV[8]

local meta
local new_key = false
for i = 9 + 3 * n, first_null - 1, 5 do
  if ARGV[i + 4] == 'k' and ARGV[i + 2] == '0' then
    local seq = 'seq:' .. ARGV[i]
    if mode == 'u' then return refuse('missing') end
    meta = call('HMGET', p .. 'meta', 'schema', 'rows', 'count')
    if meta[1] ~= ARGV[3] and tonumber(meta[3] or 0) > 0 then return refuse('schema', meta[1] or '') end
    if ARGV[i + 3] ~= '' and call('HGET', p .. 'meta', seq) == ARGV[i + 3] then return refuse('exhausted', ARGV[i]) end
    call('HINCRBY', p .. 'meta', seq, 1)
    -- HINCRBY's reply would pass through a double.
    ARGV[i + 2] = call('HGET', p .. 'meta', seq)
    ARGV[4], key, new_key = ARGV[i + 2], key .. ARGV[i + 2], true
    if ARGV[i + 1] ~= '0' then ARGV[tonumber(ARGV[i + 1])] = ARGV[i + 2] end
  end
end

local old = call('HMGET', key, '#', unpack(ARGV, 9, 8 + n))
local known, row, rows, count, free, created = old[1], nil, nil, nil, nil, 0
if known then
  row = tonumber(known)
  local schema = call('HGET', p .. 'meta', 'schema')
  if schema ~= ARGV[3] then return refuse('schema', schema or '') end
  if mode == 'i' or new_key then return refuse('exists') end
  if not row or row < 0 or row >= 2147483648 or row % 1 ~= 0 then return refuse('corrupt', 'the row number in field # is not one of this model\'s') end
else
  meta = meta or call('HMGET', p .. 'meta', 'schema', 'rows', 'count')
  rows, count = tonumber(meta[2] or 0), tonumber(meta[3] or 0)
  -- The indexes of a model without records are those of any schema.
  if meta[1] ~= ARGV[3] and count > 0 then return refuse('schema', meta[1] or '') end
  if mode == 'u' then return refuse('missing') end
  row, free = rows, {}
  if count < rows then
    free = call('ZRANGE', p .. 'free', 0, 0, 'WITHSCORES')
    local hole = free[1] and call('BITPOS', p .. 'live:' .. free[1], 0) or -1
    if hole >= 0 and hole < SEGMENT then row = math.min(rows, free[1] * SEGMENT + hole) end
  end
  if row >= 2147483648 then return refuse('corrupt', 'all 2,147,483,648 rows are in use') end
end

for i = 9 + 3 * n, first_null - 1, 5 do
  local name = ARGV[i]
  if ARGV[i + 4] == 'k' then
    if not known and not new_key then return refuse('assigned', name) end
  else
    local stored = known and call('HGET', key, name)
    if ARGV[i + 2] == '0' then
      if not stored then
        local seq = 'seq:' .. name
        if ARGV[i + 3] ~= '' and call('HGET', p .. 'meta', seq) == ARGV[i + 3] then return refuse('exhausted', name) end
        call('HINCRBY', p .. 'meta', seq, 1)
        stored = call('HGET', p .. 'meta', seq)
      end
      ARGV[i + 2], ARGV[tonumber(ARGV[i + 1])] = stored, stored
    elseif stored ~= ARGV[i + 2] then
      return refuse('assigned', name)
    end
  end
end

local names, specs, positions, segment, offset = 8, 8 + n, 8 + 2 * n, nil, nil
-- include index.lua

if not known then
  known = text('%d', row)
  if not segment then
    offset = row % SEGMENT
    segment, offset = text('%d', (row - offset) / SEGMENT), text('%d', offset)
  end
  -- The directory and the live rows are of a type not looked at yet. A string's entry without the bit of its row means
  -- nothing, so that if the second write fails, nothing has happened; a hash's entry would be one too many.
  if ARGV[5] == '0' then
    call('GETBIT', p .. 'live:' .. segment, offset)
    call('HSET', p .. 'd:' .. floor(row / CHUNK), row % CHUNK, ARGV[4])
  else
    local directory = p .. 'd:' .. segment
    if offset == '0' and segment ~= '0' then call('SETRANGE', directory, SEGMENT * ARGV[5] - 1, '\0') end
    call('SETRANGE', directory, text('%d', offset * ARGV[5]), ARGV[4])
  end
  call('SETBIT', p .. 'live:' .. segment, offset, '1')
  if meta[1] ~= ARGV[3] then call('HSET', p .. 'meta', 'schema', ARGV[3]) end
  call('HSET', p .. 'meta', 'rows', text('%d', row == rows and rows + 1 or rows), 'count', text('%d', count + 1))
  if free[2] == '1' then call('ZREM', p .. 'free', free[1]) elseif free[1] then call('ZINCRBY', p .. 'free', -1, free[1]) end
  created = 1
end
-- include apply.lua
if created == 0 and first_pair > first_null then
  for i = first_null, first_pair - 1, 4000 do call('HDEL', key, unpack(ARGV, i, math.min(i + 3999, first_pair - 1))) end
end
if created == 1 then
  call('HSET', key, '#', known, unpack(ARGV, first_pair, math.min(first_pair + 3999, #ARGV)))
elseif first_pair < #ARGV then
  call('HSET', key, unpack(ARGV, first_pair, math.min(first_pair + 3999, #ARGV)))
end
for i = first_pair + 4000, #ARGV, 4000 do call('HSET', key, unpack(ARGV, i, math.min(i + 3999, #ARGV))) end

if a == 0 then return created end
local reply = { created }
for i = 9 + 3 * n, first_null - 1, 5 do reply[#reply + 1] = ARGV[i + 2] end
return reply
