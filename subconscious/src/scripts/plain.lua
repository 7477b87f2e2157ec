-- plain.lua: the form of a value that an index has. It is included in the place of a line that
-- names it; KEYS, ARGV and Returns are those of the script that includes it. Includes decimal.lua.

-- include decimal.lua
-- Equal numbers are one value in an index: see index.lua.
local function plain(kind, value)
  if kind == 100 then return plain_decimal(value) end -- d
  if kind == 102 and value == '-0.0' then return '0.0' end -- f
  return value
end
