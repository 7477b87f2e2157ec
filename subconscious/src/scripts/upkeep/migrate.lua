-- migrate.lua: replaces the stored schema of a model. This file includes switch.lua.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   the stored fingerprint that the caller saw, or ""
-- ARGV[2]   the stored types that the caller saw, or ""
-- ARGV[3]   registration of the program: see ModelSchema::registration
-- ARGV[4]   the new values of the fields schema, columns, types, defaults, dropping and building;
--           "" for no field
-- ARGV[10]  1 if the strings of the row directory get their name of layout 3, else 0
--
-- Returns   1 if the stored schema was still the one that the caller saw, else 0
local call, meta = redis.call, KEYS[1]
local stored = call('HMGET', meta, 'schema', 'types', 'programs')
if (stored[1] or '') ~= ARGV[1] or (stored[2] or '') ~= ARGV[2] then return 0 end
if ARGV[10] == '1' then
  local p = string.sub(meta, 1, -1 - #KEY_META)
  for part = 0, math.floor(tonumber(call('HGET', meta, 'rows') or 0) / DIRECTORY) do
    if call('EXISTS', p .. KEY_DIRECTORY .. part) == 1 then call('RENAME', p .. KEY_DIRECTORY .. part, p .. KEY_ENTRIES .. part) end
  end
end
-- include write/switch.lua
