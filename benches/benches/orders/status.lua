-- status.lua: changes the status of an order and the index entries that depend on it.
--
-- KEYS      the order
-- ARGV      id, status
--
-- Returns   1, or 0 if there is no such order
local key, id, status = KEYS[1], ARGV[1], ARGV[2]
local open = { new = true, paid = true, shipped = true }
local old = redis.call('HMGET', key, 'status', 'customer', 'sku', 'created_at')
if not old[1] then return 0 end
if old[1] == status then return 1 end
if open[old[1]] and not open[status] then
  redis.call('SREM', 'orders:open:' .. old[2], id)
elseif open[status] and not open[old[1]] then
  redis.call('SADD', 'orders:open:' .. old[2], id)
end
redis.call('ZREM', 'orders:status:' .. old[1], id)
redis.call('ZADD', 'orders:status:' .. status, old[4], id)
local counts = 'orders:statuses:' .. old[3]
if redis.call('HINCRBY', counts, old[1], -1) == 0 then redis.call('HDEL', counts, old[1]) end
redis.call('HINCRBY', counts, status, 1)
redis.call('HSET', key, 'status', status)
return 1
