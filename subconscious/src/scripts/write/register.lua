-- register.lua: registers a program that works with the stored schema, so that its calls are
-- accepted.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   registration of the program: see ModelSchema::registration
-- ARGV[2]   the stored fingerprint that the caller saw
-- ARGV[3]   the stored types that the caller saw, or ""
-- ARGV[4]   the stored types and the program's own
--
-- Returns   1 if the stored schema was still the one that the caller saw, else 0
local call, meta = redis.call, KEYS[1]
local stored = call('HMGET', meta, 'schema', 'types', 'programs')
if stored[1] ~= ARGV[2] or (stored[2] or '') ~= ARGV[3] then return 0 end
local programs = stored[3] or ''
if not string.find(programs, ARGV[1], 1, true) then programs = programs .. ' ' .. ARGV[1] end
call('HSET', meta, 'types', ARGV[4], 'programs', programs, ARGV[1], '1')
return 1
