-- save.lua: saves an order and its index entries, and removes those that it had before.
--
-- KEYS      the order
-- ARGV      id, customer, sku, status, total, created_at, visits
--
-- Returns   1 for a new order, else 0
local key, id = KEYS[1], ARGV[1]
local customer, sku, status, total, created = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local open = { new = true, paid = true, shipped = true }
local old = redis.call('HMGET', key, 'customer', 'sku', 'status', 'total', 'created_at')
if old[1] then
  if old[1] ~= customer then redis.call('ZREM', 'orders:customer:' .. old[1], id) end
  if open[old[3]] and (old[1] ~= customer or not open[status]) then redis.call('SREM', 'orders:open:' .. old[1], id) end
  if old[2] ~= sku then redis.call('ZREM', 'orders:sku:' .. old[2], id) end
  if old[3] ~= status then redis.call('ZREM', 'orders:status:' .. old[3], id) end
  if old[2] ~= sku or old[3] ~= status then
    local counts = 'orders:statuses:' .. old[2]
    if redis.call('HINCRBY', counts, old[3], -1) == 0 then redis.call('HDEL', counts, old[3]) end
  end
end
local newTime = old[5] ~= created
if newTime or old[1] ~= customer then redis.call('ZADD', 'orders:customer:' .. customer, created, id) end
if open[status] then redis.call('SADD', 'orders:open:' .. customer, id) end
if old[4] ~= total or old[2] ~= sku then redis.call('ZADD', 'orders:sku:' .. sku, total, id) end
if newTime or old[3] ~= status then redis.call('ZADD', 'orders:status:' .. status, created, id) end
if old[2] ~= sku or old[3] ~= status then redis.call('HINCRBY', 'orders:statuses:' .. sku, status, 1) end
if old[4] ~= total then redis.call('ZADD', 'orders:by:total', total, id) end
if newTime then redis.call('ZADD', 'orders:by:time', created, id) end
redis.call('HSET', key, 'customer', customer, 'sku', sku, 'status', status, 'total', total, 'created_at', created, 'visits', ARGV[7])
return old[1] and 0 or 1
