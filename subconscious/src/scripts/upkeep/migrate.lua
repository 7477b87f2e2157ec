-- migrate.lua: begins to change the indexes of a model, and changes the types of its columns.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   the stored fingerprint that the caller saw, or ""
-- ARGV[2]   the stored types that the caller saw, or ""
-- ARGV[3]   registration of the program: see ModelSchema::registration
-- ARGV[4]   what indexes depend on: see ModelSchema::description
-- ARGV[5]   the new types of all columns: see ModelSchema::types
-- ARGV[6]   1 if indexes change, else 0
-- ARGV[7]   columns whose old indexes are dropped, as :name:name:, or ""; with a = before it, their
--           unique values stay
-- ARGV[8]   columns whose indexes are built, in the same form
-- ARGV[9]   1 if the strings of the row directory get their name of layout 3, else 0
--
-- Returns   1 if the stored fingerprint and types were still those that the caller saw, else 0
--
-- From this call on, all other programs are refused until they have registered again. While the
-- indexes are built, the stored fingerprint is the new one with a + at its end. Writes then
-- maintain the new indexes, and queries that need an unfinished index are refused.
local call, meta = redis.call, KEYS[1]
local stored = call('HMGET', meta, 'schema', 'types', 'programs')
local fingerprint = stored[1] or ''
if fingerprint ~= ARGV[1] or (stored[2] or '') ~= ARGV[2] then return 0 end
for program in string.gmatch(stored[3] or '', '%S+') do call('HDEL', meta, program) end
if ARGV[9] == '1' then
  local p = string.sub(meta, 1, -1 - #KEY_META)
  for part = 0, math.floor(tonumber(call('HGET', meta, 'rows') or 0) / DIRECTORY) do
    if call('EXISTS', p .. KEY_DIRECTORY .. part) == 1 then call('RENAME', p .. KEY_DIRECTORY .. part, p .. KEY_ENTRIES .. part) end
  end
end
if ARGV[6] == '1' then
  fingerprint = string.sub(ARGV[3], 1, 16) .. '+'
  call('HSET', meta, 'schema', fingerprint, 'columns', ARGV[4], 'building', ARGV[8], 'built', '0')
  if ARGV[7] == '' then call('HDEL', meta, 'dropping') else call('HSET', meta, 'dropping', ARGV[7]) end
end
call('HSET', meta, 'types', ARGV[5], 'programs', ARGV[3], ARGV[3], #fingerprint > 16 and '+' or '1')
return 1
