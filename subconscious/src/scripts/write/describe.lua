-- describe.lua: stores the schema of a model without records. This file includes switch.lua.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   the stored fingerprint that the caller saw, or ""
-- ARGV[2]   the stored types that the caller saw, or ""
-- ARGV[3]   registration of the program: see ModelSchema::registration
-- ARGV[4]   the new values of the fields schema, columns, types, defaults, dropping and building;
--           "" for no field
--
-- Returns   1 if it was stored; 0 if there are records, or if the stored schema was another one
local call, meta = redis.call, KEYS[1]
local stored = call('HMGET', meta, 'schema', 'types', 'programs', 'count')
if (stored[1] or '') ~= ARGV[1] or (stored[2] or '') ~= ARGV[2] or tonumber(stored[4] or 0) > 0 then return 0 end
-- include write/switch.lua
