-- migrate.lua: begins to change the indexes of a model.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   the stored fingerprint that the caller saw, or ""
-- ARGV[2]   fingerprint of the new schema
-- ARGV[3]   the new schema: see ModelSchema::description
-- ARGV[4]   columns whose old indexes are dropped, as :name:name:, or ""
-- ARGV[5]   columns whose indexes are built, in the same form
--
-- Returns   1 or 0, whether the stored fingerprint was still that
--
-- From here on programs of the old schema are refused. Until all is done, the stored fingerprint is the new one with a +: writes
-- keep the new indexes, and queries that need an unfinished one are refused.
local call, meta = redis.call, KEYS[1]
if (call('HGET', meta, 'schema') or '') ~= ARGV[1] then return 0 end
call('HSET', meta, 'schema', ARGV[2] .. '+', 'columns', ARGV[3], 'building', ARGV[5], 'built', '0')
if ARGV[4] == '' then call('HDEL', meta, 'dropping') else call('HSET', meta, 'dropping', ARGV[4]) end
return 1
