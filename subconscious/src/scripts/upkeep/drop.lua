-- drop.lua: deletes keys of indexes that are being dropped, or notes that all of them are deleted.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   fingerprint of the schema
-- then      keys; none if all are deleted
--
-- Returns   1 if the indexes are still being dropped, else 0: then another process was faster, and
--           nothing is deleted
local call = redis.call
local meta = call('HMGET', KEYS[1], 'schema', 'dropping')
if meta[1] ~= ARGV[1] .. '+' or not meta[2] then return 0 end
if #ARGV == 1 then call('HDEL', KEYS[1], 'dropping') else call('UNLINK', unpack(ARGV, 2)) end
return 1
