-- rights.lua: answers which commands the user may not run. Redis 7.0 refuses a command of a script
-- without naming it.
--
-- KEYS[1]   any key; it is not read
-- ARGV[1]   a word, and so on: some of the words are names of commands
--
-- Returns   the words that are commands which the user may not run
local missing = {}
for i = 1, #ARGV do
  local known, may = pcall(redis.acl_check_cmd, ARGV[i])
  if known and not may then missing[#missing + 1] = ARGV[i] end
end
return missing
