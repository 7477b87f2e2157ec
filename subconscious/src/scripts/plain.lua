-- plain.lua: the form of a value that an index has. It is included in the place of a line that names it; KEYS, ARGV and Returns are those
-- of the script that includes it.

-- Equal numbers are one value in an index: see index.lua.
local function plain(kind, value)
  if kind == 100 and value then -- d
    value = string.match(value, '^(.*%..*[^0])0*$') or string.match(value, '^(.*)%.0*$') or value
    return value == '-0' and '0' or value
  end
  if kind == 102 and value == '-0.0' then return '0.0' end -- f
  return value
end
