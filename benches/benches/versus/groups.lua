-- groups.lua: counts the records of a set by country.
--
-- KEYS      the set of the countries, then the set of the condition
-- ARGV      none
--
-- Returns   { { country, count }, .. }
local groups = {}
for _, country in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local count = redis.call('SINTERCARD', 2, KEYS[2], 'user:country_code:' .. country)
  if count > 0 then groups[#groups + 1] = { country, count } end
end
return groups
