-- walk.lua: goes along one order from its end, and finds the ids whose score in another one is in a
-- range.
--
-- KEYS      the order, the other one
-- ARGV      the lowest and the highest score there, rows
--
-- Returns   the ids
local low, high, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local at, found = 0, {}
while #found < limit do
  local ids = redis.call('ZREVRANGE', KEYS[1], at, at + 199)
  if #ids == 0 then break end
  at = at + #ids
  for i, score in ipairs(redis.call('ZMSCORE', KEYS[2], unpack(ids))) do
    score = tonumber(score)
    if score >= low and score <= high and #found < limit then found[#found + 1] = ids[i] end
  end
end
return found
