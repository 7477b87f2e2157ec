-- describe.lua: stores the schema of a model without records.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   registration of the program: see ModelSchema::registration
-- ARGV[2]   what indexes depend on: see ModelSchema::description
-- ARGV[3]   all columns and their types: see ModelSchema::types
--
-- Returns   1 if it was stored, 0 if there are records
local call, meta = redis.call, KEYS[1]
if tonumber(call('HGET', meta, 'count') or 0) > 0 then return 0 end
for program in string.gmatch(call('HGET', meta, 'programs') or '', '%S+') do call('HDEL', meta, program) end
call('HSET', meta, 'schema', string.sub(ARGV[1], 1, 16), 'columns', ARGV[2], 'types', ARGV[3], 'programs', ARGV[1], ARGV[1], '1')
call('HDEL', meta, 'dropping', 'building', 'built')
return 1
