-- owner.lua: reads the record that owns a value of a unique column. It is the short form of
-- query.lua for the usual case, and leaves every other case to it. This file includes clock.lua and
-- ids.lua.
--
-- KEYS[1]   the key t:0 of the model, which never exists. The server demands a right to write for
--           the key that a script is given (see docs/src/rights.md)
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   registration of the program: see ready.lua
-- ARGV[3]   the budget: only its + is used (see budget.lua)
-- ARGV[4]   width in bytes of an entry of the row directory; 0 if the directory is made of hashes
-- ARGV[5]   the column
-- ARGV[6]   the value
-- then      names of the fields to read besides the row
--
-- Returns   { 1, microseconds, row, id, { row, the fields } }
--           or { 1, microseconds }: no record owns the value
--           or { 0 }: query.lua has to answer, as the program is not registered, or records have
--           expired

local call, floor, byte, sub, text = redis.call, math.floor, string.byte, string.sub, string.format
local p, width = ARGV[1], tonumber(ARGV[4])
-- include shared/clock.lua
-- include shared/ids.lua
local began = byte(ARGV[3]) == 43 and clock()
local function took() return began and text('%d', clock() - began) or 0 end

local meta = call('HMGET', p .. KEY_META, ARGV[2], 'due')
if meta[1] ~= '1' then return { 0 } end
if meta[2] then
  local now = call('TIME')
  if tonumber(meta[2]) <= now[1] * 1000 + floor(now[2] / 1000) then return { 0 } end
end
local row = call('HGET', p .. KEY_UNIQUE .. ARGV[5], ARGV[6])
if not row then return { 1, took() } end
local entry = entry_of(row)
local id = entry and id_in(entry)
local record = id and call('HMGET', p .. KEY_RECORD .. id, '#', unpack(ARGV, 7)) or {}
-- If the hash is gone, something else deleted it, or the server evicted it.
if record[1] ~= row then return { 1, took() } end
return { 1, took(), row, entry, record }
