-- plain.lua: the form that a value has in an index. Other scripts include this file. KEYS, ARGV and
-- Returns are those of the including script. This file includes decimal.lua.

-- include shared/decimal.lua
-- Equal numbers are one value in an index: see index.lua.
local function plain(kind, value)
  if kind == KIND_DECIMAL then return plain_decimal(value) end
  if kind == KIND_FLOAT and value == '-0.0' then return '0.0' end
  return value
end
