-- ids.lua: which record has a row. Other scripts include this file. KEYS, ARGV and Returns are
-- those of the including script. This file uses these locals of that script:
--
-- p, width  prefix of all keys of the model; width in bytes of an entry of the row directory, as a
--           number

-- The id of a row as the row directory holds it: as text or packed. False or "" if there is none.
local directory = {}
local function entry_of(row)
  if width == 0 then return call('HGET', text('%s%s%d', p, KEY_DIRECTORY, floor(row / CHUNK)), text('%d', row % CHUNK)) end
  local at = row % DIRECTORY
  local part = (row - at) / DIRECTORY
  local first, key = at * width, directory[part]
  if not key then
    key = p .. KEY_ENTRIES .. part
    directory[part] = key
  end
  return call('GETRANGE', key, text('%d', first), text('%d', first + width - 1))
end

-- The id as text, with which the record's key ends: see to_directory in model/id.rs.
local function id_in(entry)
  if width == 0 then return entry elseif #entry ~= width then return nil end
  if width == 16 then return text('%08x-%04x-%04x-%04x-%04x%08x', struct.unpack('>I4I2I2I2I2I4', entry)) end
  local high, middle, low, digits = 0, 0, nil, nil
  if width == 10 then
    high, middle, low = struct.unpack('>I4I4I2', entry)
  elseif width == 6 then
    middle, low = struct.unpack('>I4I2', entry)
  else
    middle, low = struct.unpack('>BI2', entry)
  end
  if high > 0 then
    digits = text('%x%08x%04x', high, middle, low)
  elseif middle > 0 then
    digits = text('%x%04x', middle, low)
  else
    digits = text('%x', low)
  end
  return byte(digits) == 97 and '-' .. sub(digits, 2) or digits
end
