-- save_many.lua: inserts or replaces several records, one after the other, each as save.lua does.
-- This file includes rows.lua, put.lua, stored.lua, due.lua, index.lua, apply.lua and expire.lua.
--
-- KEYS[1]..KEYS[r]   the records' hashes; if Redis assigns the id, the part of the key before the
--                    id. The key after them never exists: see Script::call_on
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   save: insert or replace; insert: insert only; update: replace only; import: insert or
--           replace, and keep what Redis would assign, unless it is 0 or, as a version, is any
-- ARGV[3]   registration of the program: see ModelSchema::registration
-- ARGV[4]   width in bytes of an entry of the row directory; 0 if the directory is made of hashes
-- ARGV[5]   n, the number of indexed columns
-- ARGV[6]   a, the number of columns that Redis assigns
-- ARGV[7]   how long a record lives:
--           ""        as before
--           ns, ms    until the time in one of its columns, in nanoseconds or milliseconds
--           new       a number of milliseconds, if the record is new
--           renew     a number of milliseconds from now
-- ARGV[8]   x, the number of foreign columns: only other programs have them, and their indexes are
--           maintained. They are the last of the n columns
-- ARGV[9]   d, the number of foreign columns that a new record has
-- then      n names of indexed columns
--           a names of columns that Redis assigns
--           each record's arguments: see put.lua
--
-- Returns   for each record what put.lua returns, or { nil, failed, why } if an error stopped its
--           save, such as a key of another type
--
-- If one record is refused or fails, the others are still saved.

-- include shared/rows.lua

local p, mode, schema, width, n, a, life = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local x, d = ARGV[8], ARGV[9]
local names, at, replies = 9, 9 + n + a, {}
local meta = call('HMGET', p .. KEY_META, schema, 'due', 'rows', 'count')
local before = meta[4]
-- If no record expires, only the records saved here change meta.
local several = not meta[2] and life == '' and meta[1]
if not several then meta = nil end
-- Expired records and their parts may be removed in between.
zones = several and {} or nil
local function put(key)
  -- include write/put.lua
end
for r = 1, #KEYS - 1 do
  local ok, reply = pcall(put, KEYS[r])
  if not ok then reply = refuse('failed', type(reply) == 'table' and reply.err or tostring(reply)) end
  replies[r] = reply
  at = at + ARGV[at + 2]
  if not several then meta = nil end
end
if several and meta[4] ~= before then call('HSET', p .. KEY_META, 'rows', meta[3], 'count', meta[4]) end
return replies
