-- rows.lua: what all scripts share: rows, their segments, and sort keys. Other scripts include this
-- file. KEYS, ARGV and Returns are those of the including script. The keys are described in
-- model/keys.rs.
--
-- A row is a record's number. A segment is SEGMENT rows, so that a bitmap of 32,736 bytes and its
-- header fit an allocation class.
-- A container is a set of up to PROMOTE rows. With one more it becomes a bitmap, which then takes
-- no more than 64 bytes a row. In a segment that is not full, it becomes one after PROMOTE_EARLY
-- rows, if that is its share of PROMOTE. At DEMOTE rows it is a set again.
-- A row directory consists of strings of DIRECTORY entries, or of hashes of CHUNK entries.
-- Numbers beyond 2^53 are never computed with as Lua numbers: they stay text.
local call, floor, byte, sub = redis.call, math.floor, string.byte, string.sub
-- Numbers are passed to commands as text('%d', number). Others are formatted as doubles, which
-- takes longer than a small command.
local text = string.format

-- The zones of parts by their keys, if the script writes several records: see write/index.lua.
local zones = nil

-- The reply of a script that refuses, before it has written anything: nil, a reason, and details.
local function refuse(...) return { false, ... } end

-- The following functions make functions, so that a script does not pay for those that it does not
-- need. They use no outer locals for the same reason.

-- Makes a function from a bitmap to its rows, as offsets in ascending order.
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

-- Makes a function from a kind (a byte) and a stored value to its sort key: the score as text, and
-- the tail, which is before the row in the member. value/sort_key.rs has the same in Rust (SortKey)
-- and says why it keeps the order.
--
-- Another program may have stored a text that is no number: it counts as 0. No pattern here can
-- match a text in two ways, as the server would try all of them.
local function places()
  local byte, sub, find, match, gsub, char, number = string.byte, string.sub, string.find, string.match, string.gsub, string.char, tonumber
  -- A score that Redis accepts: it refuses numbers beyond the range of a double.
  local function score(value)
    local double = number(value)
    if double == 0 then return '0' end
    if double == math.huge then return 'inf' end
    if double == -math.huge then return '-inf' end
    return value
  end
  -- See ordered_digits in value/sort_key.rs.
  local function ordered(negative, whole, fraction)
    local count = math.min(#whole, 127)
    if not negative then return char(128 + count) .. whole .. fraction end
    return char(127 - count) .. gsub(whole .. fraction, '%d', function(d) return char(105 - byte(d)) end)
  end
  return function(kind, value)
    if kind == KIND_FLOAT then
      if value == 'inf' or value == '-inf' then return value, '' end
      if find(value, '[^%d.eE+-]') or byte(value) == 43 or not number(value) then return '0', '' end
      return score(value), ''
    end
    if kind ~= KIND_DECIMAL and kind ~= KIND_INTEGER and kind ~= KIND_NANOSECONDS then return '0', gsub(value, '%z', '\0\255') .. '\0\0' end
    local negative = byte(value) == 45
    local whole, fraction = negative and sub(value, 2) or value, ''
    if kind == KIND_DECIMAL then
      local point = find(whole, '.', 1, true)
      if point then whole, fraction = sub(whole, 1, point - 1), match(sub(whole, point + 1), '^(.*[^0])') or '' end
    end
    whole = match(whole, '^0*(.*)')
    if whole .. fraction == '' or find(whole, '%D') or find(fraction, '%D') then return '0', kind == KIND_DECIMAL and '\128\0' or '' end
    if kind == KIND_DECIMAL then return score(value), ordered(negative, whole, fraction) .. (negative and '\255' or '\0') end
    if kind == KIND_INTEGER then
      if number(whole) < 9007199254740992 then return value, '' end
      return score(value), ordered(negative, whole, '')
    end
    local milliseconds, rest = number(sub(whole, 1, -7)) or 0, number(sub(whole, -6))
    if milliseconds >= 9007199254740992 then return score((negative and '-' or '') .. sub(whole, 1, -7)), ordered(negative, whole, '') end
    if negative then
      milliseconds = -milliseconds
      if rest > 0 then milliseconds, rest = milliseconds - 1, 1000000 - rest end
    end
    local text = string.format('%.0f', milliseconds)
    if rest == 0 then return text, '' end
    return text, char(128 + math.floor(rest / 65536), math.floor(rest / 256) % 256, rest % 256)
  end
end
