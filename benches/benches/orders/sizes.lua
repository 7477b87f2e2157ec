-- sizes.lua: adds up the sizes of the sorted sets of customers.
--
-- KEYS      none
-- ARGV      customers
--
-- Returns   the sum
local sum = 0
for _, customer in ipairs(ARGV) do sum = sum + redis.call('ZCARD', 'orders:customer:' .. customer) end
return sum
