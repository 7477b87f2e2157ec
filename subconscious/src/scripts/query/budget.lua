-- budget.lua: how long a call may take. A library of scripts that answer queries. KEYS, ARGV and
-- Returns are those of the script that includes it:
--
-- ARGV[3]   microseconds after which a call ends where it is, to be gone on with by another one;
--           with a + if it is to say how long it took
--
-- Exports   budget    the microseconds
--           effort    microseconds of work since the clock was looked at, about: who works adds to
--                     it. To look at the clock costs as much as several small commands
--           spent()   whether the time is up
--           took()    microseconds so far, 0 where nobody asked
--           since()   microseconds until the clock was last looked at

-- Servers since 7.2 stop TIME while a script runs, but let it ask for the processor's time.
local os = rawget(_G, 'os')
local function clock()
  if os then return os.clock() * 1000000 end
  local now = call('TIME')
  return now[1] * 1000000 + now[2]
end
local timed, budget, began = byte(ARGV[3]) == 43, tonumber(ARGV[3]), clock()
local function took() return timed and text('%d', clock() - began) or 0 end

local effort = 0
-- Microseconds that one of effort really takes, and when that was measured.
local pace, measured = 1, began
local function since() return floor(measured - began) end

-- Whether the time, or so many times of it, is spent, after so much more work.
local function spent(work, times)
  effort = effort + work
  if effort * pace * 8 < budget then return false end
  local now = clock()
  pace = math.max(1, (now - measured) / effort)
  measured, effort = now, 0
  return now - began >= budget * (times or 1)
end
