-- rows.lua: what all scripts share: rows, their segments, and the places of values in sorted sets.
-- It comes before the text of each script that says so, and KEYS, ARGV and Returns are those of that script. The keys are
-- described in keys.rs.
--
-- A row is a record's number; a segment is SEGMENT rows, so that a bitmap of one takes 32,736 bytes and fits its
-- allocation class together with its header. A container is a bitmap where that takes no more than 64 bytes a row: from PROMOTE rows on,
-- in a segment that is not full from PROMOTE_EARLY if it has its share of PROMOTE, and down to DEMOTE rows. The row directory is cut into strings of DIRECTORY entries, or
-- hashes of CHUNK. Numbers beyond 2^53 never become Lua numbers: they stay text.
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

-- A function from a kind (as a byte) and a stored value to its place in the column's sorted set: the score as text, and
-- what stands before the row in the member. value/place.rs has the same in Rust (SortKey) and says why it keeps the order.
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
