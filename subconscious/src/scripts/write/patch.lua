-- patch.lua: changes some columns of one record, or how long it lives, together with its index
-- entries. This file includes rows.lua, stored.lua, index.lua, apply.lua and expire.lua.
--
-- KEYS[1]   the record's hash
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   registration of the program: see ModelSchema::registration
-- ARGV[3]   m, the number of columns that change
-- ARGV[4]   n, the number of these columns that are indexed; they are the first ones
-- ARGV[5]   q, the number of further indexed columns, if the record may be given a deadline
-- ARGV[6]   how long the record lives:
--           ""        as before
--           ns, ms    until the new value, in nanoseconds or milliseconds, of the changed column
--                     number ARGV[7], counted from 1
--           after     ARGV[7] milliseconds from now
--           at        until ARGV[7] milliseconds since the Unix epoch
--           never     for ever
-- ARGV[7]   see ARGV[6]
-- ARGV[8]   c, the number of fields that must be as the caller has seen them
-- then      m names of columns that change
--           q names of the further indexed columns
--           n index specs (see index.lua)
--           n positions in ARGV of their values
--           m times: a change, its value, the least and the greatest value allowed, and the value
--           if the record lacks the column, or "". The changes:
--             set, clear
--             add       add the value
--             version   add 1; the value is the expected version or ""
--             time      set to the current time; the value is ns or ms
--             deadline  set to the record's deadline; the value is ns or ms
--             expect    stays; the value is what the record must have: = followed by a value, or ""
--                       for null. So is the value of a record that lacks the column
--           c times: name, and = followed by the value, or "" for null
--
-- Returns   { 1, new value of each column with add or version }
--           { 2 } if one of the c fields has changed, or if there is no such record any more
--           or nil, then a reason and its details: { schema, .. } (see stored.lua), { missing },
--           { conflict, version }, { unexpected, column, value expected, value found },
--           { duplicate, column, value }, { overflow, column, value, least, greatest }, { lacks,
--           column }, { number, column, value }, { corrupt, why }

-- include shared/rows.lua

-- Makes a function that adds two integers of any size, as decimal text. If its third argument is
-- true, it subtracts the second integer.
local function sums()
  local byte, sub, text, floor = string.byte, string.sub, string.format, math.floor
  -- The sum of two numbers without signs; or their difference, for which the first must not be
  -- less.
  local function combine(x, y, sign)
    local out, carry = '', 0
    while #x > 0 or #y > 0 or carry > 0 do
      local part = (tonumber(sub(x, -7)) or 0) + sign * (tonumber(sub(y, -7)) or 0) + carry
      carry = floor(part / 10000000)
      out = text('%07d', part - carry * 10000000) .. out
      x, y = sub(x, 1, -8), sub(y, 1, -8)
    end
    return string.match(out, '^0*(%d+)$') or '0'
  end
  local function less(x, y)
    if #x ~= #y then return #x < #y end
    for i = 1, #x do
      if byte(x, i) ~= byte(y, i) then return byte(x, i) < byte(y, i) end
    end
    return false
  end
  return function(x, y, subtract)
    local minus_x, minus_y = byte(x) == 45, byte(y) == 45
    if minus_x then x = sub(x, 2) end
    if minus_y then y = sub(y, 2) end
    if subtract then minus_y = not minus_y end
    local size, minus
    if minus_x == minus_y then
      size, minus = combine(x, y, 1), minus_x
    elseif less(x, y) then
      size, minus = combine(y, x, -1), minus_y
    else
      size, minus = combine(x, y, -1), minus_x
    end
    if minus and size ~= '0' then return '-' .. size end
    return size
  end
end

local p, key, schema = ARGV[1], KEYS[1], ARGV[2]
local m, n = tonumber(ARGV[3]), tonumber(ARGV[4])
local others = m + ARGV[5]
local names, specs, positions, groups = 8, 8 + others, 8 + others + n, 8 + others + 2 * n

local old = call('HMGET', key, '#', unpack(ARGV, 9, 8 + others))
local known = old[1]
if not known then
  if ARGV[8] ~= '0' then return { 2 } end
  return refuse('missing')
end
local meta = call('HMGET', p .. KEY_META, schema, 'due')
if meta[1] ~= '1' then
  -- include shared/stored.lua
end
local row = tonumber(known)
if not row or row < 0 or row >= 2147483648 or row % 1 ~= 0 then return refuse('corrupt', 'the row number in field # is not one of this model\'s') end

for i = groups + 5 * m + 1, groups + 5 * m + 2 * ARGV[8], 2 do
  local stored = call('HGET', key, ARGV[i])
  if (stored and '=' .. stored or '') ~= ARGV[i + 1] then return { 2 } end
end

local due, clock = meta[2], nil
local deadline, word = nil, ARGV[6]
if word == 'after' then
  clock = call('TIME')
  deadline = clock[1] * 1000 + floor(clock[2] / 1000) + ARGV[7]
elseif word == 'at' then
  deadline = tonumber(ARGV[7])
elseif word == 'never' then
  deadline = false
end
if deadline then deadline = math.min(deadline, LAST_DEADLINE) end

local reply, sum = { 1 }, nil
for i = 1, m do
  local group, name, stored = groups + 5 * i - 4, ARGV[names + i], old[i + 1]
  local change, value = ARGV[group], ARGV[group + 1]
  if change == 'time' then
    clock = clock or call('TIME')
    if value == 'ns' then value = text('%d%06d000', clock[1], clock[2]) else value = text('%d%03d', clock[1], clock[2] / 1000) end
  elseif change == 'deadline' then
    if deadline then value = text('%d', deadline) .. (value == 'ns' and '000000' or '') else change = 'clear' end
  elseif change == 'expect' then
    local found = stored and '=' .. stored or ARGV[group + 4]
    if found ~= value then return refuse('unexpected', name, value, found) end
  elseif change == 'add' or change == 'version' then
    stored = stored or ARGV[group + 4]
    if stored == '' then return refuse('lacks', name) end
    if change == 'version' then
      if value ~= '' and value ~= stored then return refuse('conflict', stored) end
      value = '1'
    end
    if not string.find(stored, '^%-?%d+$') then return refuse('number', name, stored) end
    local least, greatest, overflows = ARGV[group + 2], ARGV[group + 3], nil
    if #stored < 16 and #value < 16 then
      -- Numbers of this length are exact in Lua.
      local total = stored + value
      overflows = total < tonumber(least) or total > tonumber(greatest)
      value = text('%d', total)
      -- A column of few values needs the ordinal of the new value.
      if i <= n and byte(ARGV[specs + i]) == INDEX_ORDINALS then
        ARGV[specs + i] = sub(ARGV[specs + i], 1, 3) .. text('%d', total - least)
      end
    else
      sum = sum or sums()
      value = sum(stored, value)
      overflows = byte(sum(value, least, true)) == 45 or byte(sum(greatest, value, true)) == 45
    end
    if overflows then return refuse('overflow', name, stored, least, greatest) end
    reply[#reply + 1] = value
  end
  if change == 'clear' then
    ARGV[group] = change
    if i <= n then ARGV[positions + i] = '0' end
  else
    ARGV[group + 1] = value
  end
end
if word == 'ns' or word == 'ms' then
  local group = groups + 5 * ARGV[7] - 4
  deadline = false
  if ARGV[group] ~= 'clear' then
    deadline = ARGV[group + 1]
    local time = tonumber(word == 'ms' and deadline or sub(deadline, 1, -7)) or 0
    -- Rounded up, so that no record expires before its deadline.
    if word == 'ns' and sub(deadline, -6) ~= '000000' then time = time + 1 end
    deadline = math.max(0, time)
  end
end

local segment, offset
-- include write/index.lua

if deadline == nil and due and plan and call('PTTL', key) >= 0 then deadline = true end
local kept
if deadline or due then
  call('ZCARD', p .. KEY_TTL)
  local chunk = p .. KEY_EXPIRING .. floor(row / CHUNK)
  call('HLEN', chunk)
  if deadline then
    local packed = call('HGET', chunk, row % CHUNK)
    kept = packed and cmsgpack.unpack(packed) or {}
    kept[''] = sub(key, #p + #KEY_RECORD + 1)
    for i = m + 1, others do kept[ARGV[names + i]] = old[i + 1] end
    for i = 1, n do kept[ARGV[names + i]] = ARGV[tonumber(ARGV[positions + i])] or false end
  end
end
-- include write/apply.lua
for i = 1, m do
  local group = groups + 5 * i - 4
  local change = ARGV[group]
  if change == 'clear' then
    call('HDEL', key, ARGV[names + i])
  elseif change ~= 'expect' then
    call('HSET', key, ARGV[names + i], ARGV[group + 1])
  end
end
-- include write/expire.lua
return reply
