-- scratch.lua: intermediate bitmaps, at the keys t:1, t:2 and so on. A library for queries. Other
-- scripts include this file after budget.lua. KEYS, ARGV and Returns are those of the including
-- script.
--
-- ARGV[1]   prefix of all keys of the model
--
-- Exports   p, width             ARGV[1], and ARGV[4] as a number: the width in bytes of an entry
--                                of the row directory
--           decimal              a table that has numbers as text
--           temporary()          the key of a bitmap that is not in use
--           pin()                keeps all bitmaps in use until the call ends; returns their number
--           release(to)          ends the use of all bitmaps that are not pinned, or of those that
--                                were not in use when in_use() was `to`
--           in_use()             number of bitmaps in use
--           leave_nothing(run)   calls a function, deletes the bitmaps even if it failed, and
--                                returns what it returned
--
-- No bitmap reaches replicas or the append-only file, and none is left behind.
local p, width = ARGV[1], tonumber(ARGV[4])

-- A number that is joined to a text or passed to a command is formatted as a double each time.
local decimal = setmetatable({}, {
  __index = function(known, number)
    known[number] = text('%d', number)
    return known[number]
  end,
})

-- The number of bitmaps in use, the greatest such number so far, and the number of pinned bitmaps.
local used, most, pinned = 0, 0, 0
local function temporary()
  if most == 0 then
    redis.set_repl(redis.REPL_NONE)
    -- The first write of a script must not be one that a full server refuses: see due.lua.
    call('DEL', p .. KEY_TEMPORARY .. '1')
  end
  used = used + 1
  most = math.max(most, used)
  return p .. KEY_TEMPORARY .. decimal[used]
end
local function pin()
  pinned = used
  return pinned
end
local function release(to) used = to or pinned end
local function in_use() return used end

local function leave_nothing(run)
  local done, reply = pcall(run)
  for i = 1, most, 4000 do
    local names = {}
    for k = i, math.min(i + 3999, most) do names[#names + 1] = p .. KEY_TEMPORARY .. k end
    call('DEL', unpack(names))
  end
  if not done then error(reply, 0) end
  return reply
end
