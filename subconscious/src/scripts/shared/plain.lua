-- plain.lua: the form of a value that an index has. It is included in the place of a line that
-- names it; KEYS, ARGV and Returns are those of the script that includes it. Includes decimal.lua.

-- include shared/decimal.lua
-- Equal numbers are one value in an index: see index.lua.
local function plain(kind, value)
  if kind == KIND_DECIMAL then return plain_decimal(value) end
  if kind == KIND_FLOAT and value == '-0.0' then return '0.0' end
  return value
end
