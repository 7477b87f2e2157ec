-- inspect.lua: what the scripts of check and repair share. Other scripts include this file after
-- rows.lua. The arguments of these scripts begin with:
--
-- KEYS[1]   the model's meta
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   fingerprint of the schema
-- ARGV[3]   width in bytes of an entry of the row directory; 0 if the directory is made of hashes
-- ARGV[4]   1 if faults are repaired, as far as they can be, else 0
-- ARGV[5]   n, the number of indexed columns
-- then      n names of indexed columns
--           n index specs (see index.lua)
--           the script's own arguments, from position rest + 1
--
-- Returns   a list whose last value is `found`, a list with an entry for each fault: { a word, the
--           key where it is, the key of the record or "", a detail, 1 if it was repaired, else 0 }
--           or nil, then a reason and its details: { schema, .. } (see stored.lua)
local p, schema, width, repair, n = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])
local names, specs, rest = 5, 5 + n, 5 + 2 * n
local meta = call('HMGET', KEYS[1], 'schema', 'due', 'rows', 'count')
if meta[1] ~= schema and tonumber(meta[4] or 0) > 0 then
  -- include shared/stored.lua
end
local due, rows, clock = meta[2], tonumber(meta[3] or 0), call('TIME')
local now = clock[1] * 1000 + floor(clock[2] / 1000)
local found = {}
local function report(word, key, record, detail, repaired)
  found[#found + 1] = { word, key, record or '', detail or '', repaired and repair and 1 or 0 }
end
-- include shared/ids.lua

-- Whether the row is one of this model and in use.
local function is_live(row)
  if not row or row < 0 or row >= rows or row % 1 ~= 0 then return false end
  local segment = floor(row / SEGMENT)
  return call('GETBIT', p .. KEY_LIVE .. segment, row - segment * SEGMENT) == 1
end

-- Whether the row's record has expired. Then all its entries stay until a script removes them
-- together.
local function is_due(row)
  return due and tonumber(call('ZSCORE', p .. KEY_TTL, text('%d', row)) or now + 1) <= now
end

-- Whether the key has the type, as Redis names it, or does not exist.
local function has_type(key, wanted)
  local type = call('TYPE', key).ok
  return type == wanted or type == 'none'
end

-- include shared/plain.lua

-- Fields of a hash; nil if the key holds a value of another type. Any other error ends the script:
-- nothing is repaired because of it.
local function fields_of(key, ...)
  local fields = redis.pcall('HMGET', key, ...)
  if not fields.err then return fields end
  if not string.find(fields.err, 'WRONGTYPE', 1, true) then error(fields, 0) end
end
