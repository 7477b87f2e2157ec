-- delete.lua: removes one record together with its index entries. Includes rows.lua, index.lua and apply.lua.
--
-- KEYS[1]   the record's hash
-- ARGV[1]   what comes before every key of the model
-- ARGV[2]   fingerprint of the schema
-- ARGV[3]   width of an entry of the row directory, 0 where it is made of hashes
-- ARGV[4]   n, the number of indexed columns
-- then      n names of indexed columns; n specs (see index.lua)
--
-- Returns   1 or 0, whether there was such a record
--           or nil, what is wrong, ..: { schema, stored fingerprint }, { corrupt, why }
local p, key, n = ARGV[1], KEYS[1], tonumber(ARGV[4])
local old = call('HMGET', key, '#', unpack(ARGV, 5, 4 + n))
if not old[1] then return 0 end
local meta = call('HMGET', p .. 'meta', 'schema', 'rows', 'count')
local rows, count = tonumber(meta[2] or 0), tonumber(meta[3] or 0)
if meta[1] ~= ARGV[2] then return refuse('schema', meta[1] or '') end
local row = tonumber(old[1])
if not row or row < 0 or row >= rows or row % 1 ~= 0 then return refuse('corrupt', 'the row number in field # is not one of this model\'s') end

local offset = row % SEGMENT
local segment = text('%d', (row - offset) / SEGMENT)
offset = text('%d', offset)
local known, names, specs, positions = true, 4, 4 + n, nil
-- include index.lua
call('GETBIT', p .. 'live:' .. segment, 0)
call('ZCARD', p .. 'free')
local chunk = p .. 'd:' .. floor(row / CHUNK)
if ARGV[3] == '0' then call('HLEN', chunk) end

-- First what a full server lets through: once a script has written, it may go on.
call('UNLINK', key)
-- include apply.lua
if ARGV[3] == '0' then call('HDEL', chunk, row % CHUNK) end
if count > 1 then
  call('SETBIT', p .. 'live:' .. segment, offset, 0)
  call('ZINCRBY', p .. 'free', 1, segment)
  call('HSET', p .. 'meta', 'count', count - 1)
else
  -- The last record takes the rows with it, so that an empty model costs nothing but its meta.
  for at = 0, floor((rows - 1) / SEGMENT) do
    call('UNLINK', p .. 'live:' .. at)
    if ARGV[3] ~= '0' then call('UNLINK', p .. 'd:' .. at) end
  end
  call('DEL', p .. 'free')
  call('HSET', p .. 'meta', 'rows', 0, 'count', 0)
end
return 1
