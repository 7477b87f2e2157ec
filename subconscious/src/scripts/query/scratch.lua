-- scratch.lua: intermediate bitmaps, at the keys t:1, t:2 and so on. A library of scripts that
-- answer queries; it comes after budget.lua. KEYS, ARGV and Returns are those of the script that
-- includes it:
--
-- ARGV[1]   what comes before every key of the model
--
-- Exports   p, width        ARGV[1], and ARGV[4] as a number: the width of an entry of the row
--           directory
--           decimal         numbers as text
--           temporary()     the key of a bitmap that is not in use
--           pin()           keeps all that are in use for the rest of the call; returns how many
--                           there are
--           release(to)     the others are not in use any more; or those that were not when
--                           in_use() was `to`
--           in_use()        how many are
--           leave_nothing(run)   runs a function, deletes the bitmaps, also when it failed, and
--                                answers what it did
--
-- Nothing of it reaches replicas or the append-only file, and nothing is left behind.
local p, width = ARGV[1], tonumber(ARGV[4])

-- Joined to a text or passed to a command, a number is formatted as a double each time.
local decimal = setmetatable({}, {
  __index = function(known, number)
    known[number] = text('%d', number)
    return known[number]
  end,
})

-- Bitmaps in use, the most there were, and those of them that are pinned.
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
