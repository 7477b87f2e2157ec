-- clock.lua: how long a script has been running. Other scripts include this file. KEYS, ARGV and
-- Returns are those of the including script. This file sets this local:
--
-- clock()   microseconds since some moment. From version 7.2 on, servers stop TIME while a script
--           runs, but let scripts read the processor time

local os = rawget(_G, 'os')
local function clock()
  if os then return os.clock() * 1000000 end
  local now = call('TIME')
  return now[1] * 1000000 + now[2]
end
