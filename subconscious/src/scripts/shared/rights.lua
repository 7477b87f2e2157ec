-- rights.lua: says which commands the user may not run. Redis 7.0 does not, where a script was
-- refused one.
--
-- KEYS[1]   any key; it is not looked at
-- ARGV[1]   a word, and so on: names of commands, among others that are none
--
-- Returns   those of the words that are commands which the user may not run
local missing = {}
for i = 1, #ARGV do
  local known, may = pcall(redis.acl_check_cmd, ARGV[i])
  if known and not may then missing[#missing + 1] = ARGV[i] end
end
return missing
