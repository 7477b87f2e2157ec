-- rows.lua: what all scripts share: rows, their segments, and the places of values in sorted sets.
-- It comes before the text of each script that says so, and KEYS, ARGV and Returns are those of that script. The keys are
-- described in keys.rs.
--
-- A row is a record's number; a segment is SEGMENT rows, so that a bitmap of one takes 8,184 bytes and fits its
-- allocation class together with its header. Numbers beyond 2^53 never become Lua numbers: they stay text.
local SEGMENT, PROMOTE, DEMOTE, CHUNK = 65472, 128, 64, 128
-- The end of the year 9999 in milliseconds: a record that shall live longer lives until then.
local LAST = 253402300799999
local call, floor, byte, sub = redis.call, math.floor, string.byte, string.sub
-- text('%d', number): passed as they are, numbers are formatted as doubles, which takes longer than a small command.
local text = string.format

-- What a script answers if it finds something wrong, before it has written anything: a nil, a word, and details.
local function refuse(...) return { false, ... } end

-- The following make functions, which a script does not pay for where it does not need them; they use no locals, for the same reason.

-- A function from a bitmap to its rows, as offsets in ascending order.
local function bits()
  local find, byte = string.find, string.byte
  return function(bytes)
    local found, n, at = {}, 0, find(bytes, '[^%z]')
    while at do
      local value, offset = byte(bytes, at), at * 8 - 8
      while value > 0 do
        if value >= 128 then
          n = n + 1
          found[n] = offset
          value = value - 128
        end
        value = value * 2
        offset = offset + 1
      end
      at = find(bytes, '[^%z]', at + 1)
    end
    return found
  end
end

-- A function from the stored forms of a list before and after a write (nil if there is no record, false for null) to what
-- changes: value and whether it comes, and so on. Each element ends with a comma; in it, \c is a comma and \\ a backslash.
local function elements()
  local function values(list)
    if not list then return { list } end
    local found = {}
    for element in string.gmatch(list, '([^,]*),') do
      found[#found + 1] = string.gsub(element, '\\(.)', function(mark) if mark == 'c' then return ',' end return mark end)
    end
    return found
  end
  return function(before, new)
    local had, has, changes = {}, {}, {}
    for _, value in ipairs(values(before)) do had[value] = true end
    for _, value in ipairs(values(new)) do
      if not had[value] and not has[value] then
        changes[#changes + 1] = value
        changes[#changes + 1] = true
      end
      has[value] = true
    end
    for value in pairs(had) do
      if not has[value] then
        changes[#changes + 1] = value
        changes[#changes + 1] = false
      end
    end
    return changes
  end
end

-- A function that adds two integers of any size, as decimal text; with a true third argument it subtracts the second.
local function sums()
  local byte, sub, text, floor = string.byte, string.sub, string.format, math.floor
  -- The sum, or the difference if the first is not less, of two numbers without signs.
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

-- A function from a kind (as a byte) and a stored value to its place in the column's sorted set: the score as text, and
-- what stands before the row in the member. value.rs has the same in Rust (SortKey) and says why it keeps the order.
local function places()
  local byte, sub, floor = string.byte, string.sub, math.floor
  return function(kind, value)
    if kind == 102 then return value, '' end -- f
    if kind == 116 then return '0', string.gsub(value, '%z', '\0\255') .. '\0\0' end -- t
    local negative = byte(value) == 45
    local digits = negative and sub(value, 2) or value
    if kind == 105 then -- i
      if #digits < 17 and (tonumber(digits) or 0) < 9007199254740992 then return value, '' end
      if not negative then return value, string.char(128 + #digits) .. digits end
      return value, string.char(127 - #digits) .. string.gsub(digits, '%d', function(d) return string.char(105 - byte(d)) end)
    end
    if kind == 100 then -- d
      local whole, fraction = string.match(digits, '^0*(%d*)%.?(%d-)0*$')
      -- Something else may have stored what is no number.
      if not whole or whole .. fraction == '' then return '0', '\128\0' end
      if not negative then return value, string.char(128 + #whole) .. whole .. fraction .. '\0' end
      digits = string.gsub(whole .. fraction, '%d', function(d) return string.char(105 - byte(d)) end)
      return value, string.char(127 - #whole) .. digits .. '\255'
    end
    local whole, rest = tonumber(sub(digits, 1, -7)) or 0, tonumber(sub(digits, -6)) or 0
    if negative then
      whole = -whole
      if rest > 0 then whole, rest = whole - 1, 1000000 - rest end
    end
    local score = string.format('%.0f', whole)
    if rest == 0 then return score, '' end
    return score, string.char(128 + floor(rest / 65536), floor(rest / 256) % 256, rest % 256)
  end
end
