-- counter.lua: adds to columns of one record that have no index. It is the short form of patch.lua
-- for the usual case, and leaves every other case to it.
--
-- KEYS[1]   the record's hash
-- ARGV[1]   the model's meta
-- ARGV[2]   registration of the program: see ModelSchema::registration
-- then      for each column: its name, the number to add, the least and the greatest value
--
-- Returns   { 1, new value of each column }
--           or { 0 }: nothing was written, and patch.lua has to do it. Either something is wrong,
--           or a number has more than 15 digits, which Lua does not hold exactly

local call = redis.call
if call('HGET', ARGV[1], ARGV[2]) ~= '1' then return { 0 } end
local reply, pairs = { 1 }, {}
for i = 3, #ARGV, 4 do
  local stored = call('HMGET', KEYS[1], '#', ARGV[i])
  local value, by = stored[2], ARGV[i + 1]
  if not stored[1] or not value or #value > 15 or #by > 15 or not string.find(value, '^%-?%d+$') then return { 0 } end
  local total = value + by
  if total < tonumber(ARGV[i + 2]) or total > tonumber(ARGV[i + 3]) then return { 0 } end
  local n = #reply
  reply[n + 1] = string.format('%d', total)
  pairs[2 * n - 1], pairs[2 * n] = ARGV[i], reply[n + 1]
end
call('HSET', KEYS[1], unpack(pairs))
return reply
