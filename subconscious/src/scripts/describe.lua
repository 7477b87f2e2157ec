-- describe.lua: stores the schema of a model without records.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   fingerprint of the schema
-- ARGV[2]   the schema: see ModelSchema::description
--
-- Returns   1 or 0, whether it was stored: there are no records
if tonumber(redis.call('HGET', KEYS[1], 'count') or 0) > 0 then return 0 end
redis.call('HSET', KEYS[1], 'schema', ARGV[1], 'columns', ARGV[2])
redis.call('HDEL', KEYS[1], 'dropping', 'building', 'built')
return 1
