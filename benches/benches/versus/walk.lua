-- walk.lua: goes along the order and takes the records that are in all of some sets.
--
-- KEYS      the order, the ages, then a set for each condition
-- ARGV      the lowest and the highest score, 1 to go down, rows to leave out, rows, the youngest
--           and the oldest age ('' for any)
--
-- Returns   { { id, name, age, gender, country, creation }, .. }
local order, ages = KEYS[1], KEYS[2]
local low, high, down = ARGV[1], ARGV[2], ARGV[3] == '1'
local skip, need, youngest, oldest = tonumber(ARGV[4]), ARGV[4] + ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local at, stop = 0, redis.call('ZCARD', order)
if down then
  if high ~= '+inf' then at = stop - redis.call('ZCOUNT', order, '-inf', high) end
elseif low ~= '-inf' then
  at = stop - redis.call('ZCOUNT', order, low, '+inf')
end
stop = math.min(stop, at + redis.call('ZCOUNT', order, low, high))
local seen, rows = 0, {}
while at < stop and seen < need do
  local last = math.min(at + 200, stop) - 1
  local ids = redis.call(down and 'ZREVRANGE' or 'ZRANGE', order, at, last)
  at = last + 1
  for set = 3, #KEYS do
    if #ids > 0 then
      local marks, left = redis.call('SMISMEMBER', KEYS[set], unpack(ids)), {}
      for i = 1, #ids do
        if marks[i] == 1 then left[#left + 1] = ids[i] end
      end
      ids = left
    end
  end
  if youngest and #ids > 0 then
    local found, left = redis.call('ZMSCORE', ages, unpack(ids)), {}
    for i = 1, #ids do
      local age = tonumber(found[i])
      if age >= youngest and age <= oldest then left[#left + 1] = ids[i] end
    end
    ids = left
  end
  for _, id in ipairs(ids) do
    seen = seen + 1
    if seen > skip and seen <= need then
      rows[#rows + 1] = { id, unpack(redis.call('HMGET', 'user:' .. id, 'name', 'age', 'gender', 'country_code', 'created_at'), 1, 5) }
    end
  end
end
return rows
