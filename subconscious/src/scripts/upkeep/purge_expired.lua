-- purge_expired.lua: removes what Redis leaves of records that expired: their rows and index
-- entries. This file includes rows.lua, stored.lua, due.lua, index.lua, remove.lua and apply.lua.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   registration of the program: see ModelSchema::registration
-- ARGV[3]   width in bytes of an entry of the row directory; 0 if the directory is made of hashes
-- ARGV[4]   n, the number of indexed columns
-- ARGV[5]   greatest number of records to remove
-- then      n names of indexed columns
--           n index specs (see index.lua)
--
-- Returns   { number of records removed, 1 if there are more, else 0 }
--           or nil, then a reason and its details: { schema, .. } (see stored.lua)

-- include shared/rows.lua

local p, schema, width, n, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local names, specs, known = 5, 5 + n, true
local meta = call('HMGET', KEYS[1], schema, 'due', 'count')
local due, clock = meta[2], call('TIME')
local now = clock[1] * 1000 + floor(clock[2] / 1000)
if not due or tonumber(due) > now then return { 0, 0 } end
if meta[1] ~= '1' then
  -- include shared/stored.lua
end
-- include write/due.lua
local left = call('HGET', KEYS[1], 'count') or '0'
return { tonumber(meta[3] or 0) - left, due and tonumber(due) <= now and 1 or 0 }
