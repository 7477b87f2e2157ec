-- drop.lua: deletes keys of indexes that are being dropped, or notes that all of them are deleted.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   the stored fingerprint that the caller saw
-- ARGV[2]   what is deleted:
--             keys      the keys that follow
--             values    the fields of the hash ARGV[3] that follow
--             ""        nothing: all is deleted. The fingerprint of the schema follows
--
-- Returns   1 if the indexes were still being dropped, else 0: then another process was faster, and
--           nothing is deleted
local call, meta = redis.call, KEYS[1]
if call('HGET', meta, 'schema') ~= ARGV[1] then return 0 end
if ARGV[2] == 'keys' then
  call('UNLINK', unpack(ARGV, 3))
elseif ARGV[2] == 'values' then
  call('HDEL', unpack(ARGV, 3))
else
  for program in string.gmatch(call('HGET', meta, 'programs') or '', '%S+') do call('HDEL', meta, program) end
  call('HDEL', meta, 'dropping', 'programs')
  call('HSET', meta, 'schema', ARGV[3])
end
return 1
