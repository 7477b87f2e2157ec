-- build.lua: enters the records of some rows into new indexes, and into a new row directory. This
-- file includes rows.lua, ids.lua, entry.lua, index.lua and apply.lua.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   the stored fingerprint that the caller saw
-- ARGV[3]   width in bytes of an entry of the row directory; 0 if the directory is made of hashes
-- ARGV[4]   number of rows to read
-- ARGV[5]   n, the number of columns whose indexes are built
-- ARGV[6]   1 if the row directory gets strings instead of hashes, else 0
-- ARGV[7]   the fingerprint of the schema when all is built, or "" if more is to be done then
-- then      n names
--           n index specs (see index.lua)
--           n times 0 (positions, set here)
--           n times the value of a record that lacks the column: default and the value, or id and
--           "" for the record's id, or "" and "" for null
--           for the values of columns of few values: name, value, ordinal, and so on
--
-- Returns   { next row, number of rows }: all is done if the next row is not below that number
--           or nil, then a reason and its details: { schema, .. } (see stored.lua), { ordinal,
--           column, value } (the caller adds the ordinal to the arguments), { long, column, key of
--           the record }, { number, column, value, key }, { duplicate, column, value }
--
-- A row may be entered twice: entries that exist stay.

-- include shared/rows.lua

local p, width, n = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[5])
local names, specs, positions, lacking = 7, 7 + n, 7 + 2 * n, 7 + 3 * n
local meta = call('HMGET', KEYS[1], 'schema', 'built', 'rows', 'due')
if meta[1] ~= ARGV[2] then
  -- include shared/stored.lua
end
local due = meta[4]

local ordinals = {}
for i = lacking + 2 * n + 1, #ARGV, 3 do ordinals[ARGV[i] .. ':' .. ARGV[i + 1]] = ARGV[i + 2] end
-- include shared/ids.lua

-- Everything is read and checked before the first write.
local first, rows = tonumber(meta[2] or 0), tonumber(meta[3] or 0)
local begun = first
-- Rows that are not in use are passed by.
while first < rows do
  local segment = floor(first / SEGMENT)
  local hit = call('BITPOS', p .. KEY_LIVE .. segment, 1, floor(first % SEGMENT / 8))
  if hit >= 0 then
    first = math.max(first, segment * SEGMENT + hit)
    break
  end
  first = (segment + 1) * SEGMENT
end
first = math.min(first, rows)
local last = math.min(first + ARGV[4], rows) - 1
local found = {}
for row = first, last do
  local at = floor(row / SEGMENT)
  local live, id, key, record = call('GETBIT', p .. KEY_LIVE .. at, row - at * SEGMENT) == 1, nil, nil, nil
  -- A row of a record that was saved since has its id in a string, other rows in a hash.
  for attempt = 1, live and ARGV[6] + 1 or 0 do
    if attempt == 1 then id = id_in(entry_of(row) or '') else id = call('HGET', p .. KEY_DIRECTORY .. floor(row / CHUNK), row % CHUNK) end
    key = id and p .. KEY_RECORD .. id
    record = key and call('HMGET', key, '#', unpack(ARGV, names + 1, names + n))
    if record and record[1] == text('%d', row) then
      record.moves = attempt == 2 and id
      break
    end
    record = nil
  end
  if record then
    for i = 1, n do
      local name, kind = ARGV[names + i], byte(ARGV[specs + i], 2)
      local value = record[i + 1]
      if not value and ARGV[lacking + 2 * i - 1] ~= '' then
        value = ARGV[lacking + 2 * i - 1] == 'id' and id or ARGV[lacking + 2 * i]
        record.added = record.added or {}
        record.added[name] = value
        record[i + 1] = value
      end
      if value then
        if kind ~= KIND_LIST and #value > LONGEST_INDEXED then return refuse('long', name, key) end
        local is_integer = kind == KIND_INTEGER or kind == KIND_NANOSECONDS
        if is_integer and not string.find(value, '^%-?%d+$') or kind == KIND_FLOAT and not tonumber(value) then
          return refuse('number', name, value, key)
        end
        if byte(ARGV[specs + i]) == INDEX_ORDINALS and not ordinals[name .. ':' .. value] then return refuse('ordinal', name, value) end
      end
    end
    record.key = key
    found[#found + 1] = record
  end
end

for _, record in ipairs(found) do
  if record.moves then
    local id, bytes, at = record.moves, width, record[1] % DIRECTORY
    -- include shared/entry.lua
    if entry then call('SETRANGE', p .. KEY_ENTRIES .. (record[1] - at) / DIRECTORY, text('%d', at * width), entry) end
  end
  -- The null of a record that gets a default may be in the index already.
  local row, known, old, segment, offset = tonumber(record[1]), record.added, {}, nil, nil
  for i = 1, n do
    if known and known[ARGV[names + i]] then old[i + 1] = false end
    ARGV[#ARGV + 1] = record[i + 1] or ''
    ARGV[positions + i] = record[i + 1] and #ARGV or '0'
    ARGV[specs + i] = sub(ARGV[specs + i], 1, 3) .. (record[i + 1] and ordinals[ARGV[names + i] .. ':' .. record[i + 1]] or '0')
  end
  -- include write/index.lua
  -- include write/apply.lua
  for i = 1, n do
    -- The lists of the value may be older than the order of values.
    local value = record[i + 1]
    if value and byte(ARGV[specs + i]) == INDEX_ORDINALS then call('ZADD', p .. KEY_VALUES .. ARGV[names + i], sub(ARGV[specs + i], 4), value) end
  end
  for name, value in pairs(known or {}) do call('HSET', record.key, name, value) end
  if due and call('ZSCORE', p .. KEY_TTL, record[1]) then
    local chunk, slot = p .. KEY_EXPIRING .. floor(row / CHUNK), row % CHUNK
    local packed = call('HGET', chunk, slot)
    if packed then
      local kept = cmsgpack.unpack(packed)
      for i = 1, n do kept[ARGV[names + i]] = record[i + 1] end
      call('HSET', chunk, slot, cmsgpack.pack(kept))
    end
  end
end
if ARGV[6] == '1' then
  -- The hashes that end before the next row. Others have no rows in use.
  local next_chunk = last + 1 < rows and floor((last + 1) / CHUNK) or floor(rows / CHUNK) + 1
  if floor(begun / CHUNK) < next_chunk then call('UNLINK', p .. KEY_DIRECTORY .. floor(begun / CHUNK)) end
  for chunk = floor(first / CHUNK), next_chunk - 1 do call('UNLINK', p .. KEY_DIRECTORY .. chunk) end
end
if last + 1 < rows or ARGV[7] == '' then
  call('HSET', KEYS[1], 'built', text('%d', last + 1))
else
  for program in string.gmatch(call('HGET', KEYS[1], 'programs') or '', '%S+') do call('HDEL', KEYS[1], program) end
  call('HDEL', KEYS[1], 'building', 'built', 'programs')
  call('HSET', KEYS[1], 'schema', ARGV[7])
end
return { last + 1, rows }
