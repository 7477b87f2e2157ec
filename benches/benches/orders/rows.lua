-- rows.lua: reads the last orders of sorted sets, the first set's before the second's.
--
-- KEYS      sorted sets
-- ARGV      rows
--
-- Returns   id, customer, sku, status, total, created_at, visits of each, one after the other
local left, answer = tonumber(ARGV[1]), {}
for _, key in ipairs(KEYS) do
  if left > 0 then
    local ids = redis.call('ZREVRANGE', key, 0, left - 1)
    left = left - #ids
    for _, id in ipairs(ids) do
      local row, at = redis.call('HMGET', 'order:' .. id, 'customer', 'sku', 'status', 'total', 'created_at', 'visits'), #answer
      answer[at + 1] = id
      for i = 1, 6 do answer[at + 1 + i] = row[i] end
    end
  end
end
return answer
