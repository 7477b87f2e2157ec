-- delete.lua: removes one record together with its index entries, and can read it first. This file
-- includes rows.lua, stored.lua, due.lua, index.lua, remove.lua and apply.lua.
--
-- KEYS[1]   the record's hash
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   registration of the program: see ModelSchema::registration
-- ARGV[3]   width in bytes of an entry of the row directory; 0 if the directory is made of hashes
-- ARGV[4]   n, the number of indexed columns
-- ARGV[5]   f, the number of fields to read besides the row
-- ARGV[6]   the column with the version, or ""
-- ARGV[7]   the version that the record must have
-- ARGV[8]   c, the number of fields that must be as the caller has seen them
-- then      n names of indexed columns
--           n index specs (see index.lua)
--           f names of fields
--           c times: name, and = followed by the value, or "" for null
--
-- Returns   { 1 } if there was such a record, else { 0 }
--           if f > 0: { 1, { row, the f fields } } or { 0 }
--           { 2 } if one of the c fields has changed
--           or nil, then a reason and its details: { schema, .. } (see stored.lua), { conflict,
--           version }, { corrupt, why }

-- include shared/rows.lua

local p, key, schema, width, n = ARGV[1], KEYS[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local names, specs, positions = 8, 8 + n, nil
local old = call('HMGET', key, '#', unpack(ARGV, 9, 8 + n))
local known = old[1]
if not known then return { 0 } end
local meta = call('HMGET', p .. KEY_META, schema, 'due', 'rows', 'count')
if meta[1] ~= '1' then
  -- include shared/stored.lua
end
local due = meta[2]
if due then
  local clock = call('TIME')
  local now = clock[1] * 1000 + floor(clock[2] / 1000)
  if tonumber(due) <= now then
    local limit = 8
    -- include write/due.lua
    if call('EXISTS', key) == 0 then return { 0 } end
    meta = call('HMGET', p .. KEY_META, schema, 'due', 'rows', 'count')
  end
end
local row, rows, count = tonumber(known), tonumber(meta[3] or 0), tonumber(meta[4] or 0)
if not row or row < 0 or row >= rows or row % 1 ~= 0 then return refuse('corrupt', 'the row number in field # is not one of this model\'s') end
if ARGV[6] ~= '' then
  local version = call('HGET', key, ARGV[6]) or '0'
  if version ~= ARGV[7] then return refuse('conflict', version) end
end
local seen = 9 + 2 * n + ARGV[5]
for i = seen, seen + 2 * ARGV[8] - 1, 2 do
  local stored = call('HGET', key, ARGV[i])
  if (stored and '=' .. stored or '') ~= ARGV[i + 1] then return { 2 } end
end
local reply = { 1 }
if ARGV[5] ~= '0' then reply[2] = call('HMGET', key, '#', unpack(ARGV, 9 + 2 * n, 8 + 2 * n + ARGV[5])) end

local gone, segment, offset = key, nil, nil
-- include write/index.lua
-- include write/remove.lua
return reply
