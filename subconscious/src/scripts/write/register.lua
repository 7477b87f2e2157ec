-- register.lua: registers a program whose columns have the stored types, so that its calls are
-- accepted.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   registration of the program: see ModelSchema::registration
-- ARGV[2]   the stored types that the caller saw, or ""
-- ARGV[3]   the stored types and the program's own
--
-- Returns   1 if the stored types were still those that the caller saw, and the stored indexes are
--           the program's, else 0
local call, meta = redis.call, KEYS[1]
local stored = call('HMGET', meta, 'schema', 'types', 'programs')
local indexes = string.sub(ARGV[1], 1, 16)
local under_way = stored[1] == indexes .. '+'
if (stored[2] or '') ~= ARGV[2] or not under_way and stored[1] ~= indexes then return 0 end
local programs = stored[3] or ''
if not string.find(programs, ARGV[1], 1, true) then programs = programs .. ' ' .. ARGV[1] end
call('HSET', meta, 'types', ARGV[3], 'programs', programs, ARGV[1], under_way and '+' or '1')
return 1
