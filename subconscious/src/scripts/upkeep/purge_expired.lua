-- purge_expired.lua: removes records that expired, as far as Redis has not: their rows and index
-- entries. Includes rows.lua, schema.lua, due.lua, index.lua, remove.lua and apply.lua.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   what comes before every key of the model
-- ARGV[2]   registration of the program: see ModelSchema::registration
-- ARGV[3]   width of an entry of the row directory, 0 where it is made of hashes
-- ARGV[4]   n, the number of indexed columns
-- ARGV[5]   number of records to remove at most
-- then      n names of indexed columns; n specs (see index.lua)
--
-- Returns   { records removed, 1 or 0: whether there are more }
--           or nil, what is wrong, ..: { schema, stored schema, stored types }, { columns, stored
--           types }

-- include shared/rows.lua

local p, schema, width, n, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local names, specs, known = 5, 5 + n, true
local meta = call('HMGET', KEYS[1], schema, 'due', 'count')
local due, clock = meta[2], call('TIME')
local now = clock[1] * 1000 + floor(clock[2] / 1000)
if not due or tonumber(due) > now then return { 0, 0 } end
if meta[1] ~= '1' then
  -- include write/schema.lua
end
-- include write/due.lua
local left = call('HGET', KEYS[1], 'count') or '0'
return { tonumber(meta[3] or 0) - left, due and tonumber(due) <= now and 1 or 0 }
