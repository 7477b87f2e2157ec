-- decimal.lua: the form that a decimal has in an index. Other scripts include this file. KEYS, ARGV
-- and Returns are those of the including script. This file sets this local:
--
-- plain_decimal: a function from a stored value to this form, which lacks the zeros at the end of
--           the fraction and the sign of a zero. A text that is no decimal stays as it is; so do
--           nil and false. value/sort_key.rs has the same in Rust (index_form)
local function plain_decimal(value)
  local last = value and string.byte(value, -1)
  -- Most values end with a digit that stays.
  if last ~= 48 and last ~= 46 then return value end
  local whole, fraction = string.match(value, '^(%-?%d+)%.(%d*)$')
  if whole then
    fraction = string.match(fraction, '^(.*[^0])')
    value = fraction and whole .. '.' .. fraction or whole
  end
  return value == '-0' and '0' or value
end
