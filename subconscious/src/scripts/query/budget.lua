-- budget.lua: how long a call may take. A library for queries. Other scripts include this file.
-- KEYS, ARGV and Returns are those of the including script.
--
-- ARGV[3]   the budget in microseconds. When it is spent, the call ends where it is, and another
--           call continues. A + before the number asks how long the call took
--
-- Exports   budget    the budget in microseconds
--           effort    estimated microseconds of work since the clock was last read. Code that does
--                     work adds to it, as reading the clock costs as much as several small commands
--           spent()   whether the budget is spent
--           took()    microseconds since the call began; 0 if the caller did not ask
--           since()   microseconds from the beginning of the call to the last reading of the clock

-- include shared/clock.lua
local timed, budget, began = byte(ARGV[3]) == 43, tonumber(ARGV[3]), clock()
local function took() return timed and text('%d', clock() - began) or 0 end

local effort = 0
-- `pace`: real microseconds for a microsecond of effort. `measured`: when the clock was last read.
local pace, measured = 1, began
local function since() return floor(measured - began) end

-- Adds `work` microseconds to the effort. Returns whether the budget, or `times` times as much, is
-- spent.
local function spent(work, times)
  effort = effort + work
  if effort * pace * 8 < budget then return false end
  local now = clock()
  pace = math.max(1, (now - measured) / effort)
  measured, effort = now, 0
  return now - began >= budget * (times or 1)
end
