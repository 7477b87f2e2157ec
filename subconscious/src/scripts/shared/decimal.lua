-- decimal.lua: the form of a decimal that an index has. It is included in the place of a line that
-- names it; KEYS, ARGV and Returns are those of the script that includes it, and this is set here:
--
-- plain_decimal: a function from a stored value to the form: without the zeros that end the
--           fraction, and without the sign of a zero. What is no decimal stays as it is, as do nil
--           and false. value/sort_key.rs has the same in Rust (index_form)
local function plain_decimal(value)
  local last = value and string.byte(value, -1)
  -- Most end with a digit that stays.
  if last ~= 48 and last ~= 46 then return value end
  local whole, fraction = string.match(value, '^(%-?%d+)%.(%d*)$')
  if whole then
    fraction = string.match(fraction, '^(.*[^0])')
    value = fraction and whole .. '.' .. fraction or whole
  end
  return value == '-0' and '0' or value
end
