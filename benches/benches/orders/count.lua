-- count.lua: counts the members of a sorted set whose score in another one is in a range.
--
-- KEYS      the set, the other one
-- ARGV      the lowest and the highest score there
--
-- Returns   the count
local low, high, at, count = tonumber(ARGV[1]), tonumber(ARGV[2]), 0, 0
while true do
  local ids = redis.call('ZRANGE', KEYS[1], at, at + 4999)
  if #ids == 0 then return count end
  at = at + #ids
  for _, score in ipairs(redis.call('ZMSCORE', KEYS[2], unpack(ids))) do
    score = tonumber(score)
    if score >= low and score <= high then count = count + 1 end
  end
end
