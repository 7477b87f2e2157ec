-- count.lua: counts the records that are in all of some sets.
--
-- KEYS      sets, or with a range a sorted set first
-- ARGV      'parts', then for each part its sign and the numbers of its keys as a text of digits;
--           or 'scan' or 'store', and the lowest and the highest score
--
-- Returns   the count
if ARGV[1] == 'parts' then
  local sum = 0
  for i = 2, #ARGV, 2 do
    local keys = {}
    for digit in ARGV[i + 1]:gmatch('%d') do keys[#keys + 1] = KEYS[tonumber(digit)] end
    sum = sum + ARGV[i] * redis.call('SINTERCARD', #keys, unpack(keys))
  end
  return sum
end
local low, high = ARGV[2], ARGV[3]
if ARGV[1] == 'store' then
  redis.call('ZRANGESTORE', 'user:tmp:1', KEYS[1], low, high, 'BYSCORE')
  local count = redis.call('ZINTERCARD', #KEYS, 'user:tmp:1', unpack(KEYS, 2))
  redis.call('DEL', 'user:tmp:1')
  return count
end
local at = redis.call('ZCARD', KEYS[1]) - redis.call('ZCOUNT', KEYS[1], low, '+inf')
local stop, count = at + redis.call('ZCOUNT', KEYS[1], low, high), 0
while at < stop do
  local last = math.min(at + 5000, stop) - 1
  for _, mark in ipairs(redis.call('SMISMEMBER', KEYS[2], unpack(redis.call('ZRANGE', KEYS[1], at, last)))) do
    count = count + mark
  end
  at = last + 1
end
return count
