-- titles.lua: finds the first titles that begin with a text.
--
-- KEYS      the order
-- ARGV      the beginning, rows
--
-- Returns   { { id, title, pages }, .. }
local low, rows = '[' .. ARGV[1], {}
-- No text has a byte 255.
for i, member in ipairs(redis.call('ZRANGE', KEYS[1], low, low .. '\255', 'BYLEX', 'LIMIT', 0, ARGV[2])) do
  local id = member:match('%z(.*)')
  rows[i] = { id, unpack(redis.call('HMGET', 'title:' .. id, 'title', 'pages')) }
end
return rows
