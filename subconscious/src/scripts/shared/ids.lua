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
  local digits
  if width == 10 then
    digits = text('%08x%08x%04x', struct.unpack('>I4I4I2', entry))
  elseif width == 6 then
    digits = text('%08x%04x', struct.unpack('>I4I2', entry))
  else
    digits = text('%02x%04x', struct.unpack('>BI2', entry))
  end
  digits = string.match(digits, '^0*(.+)$')
  return byte(digits) == 97 and '-' .. sub(digits, 2) or digits
end
