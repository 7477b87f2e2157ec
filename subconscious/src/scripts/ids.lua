-- ids.lua: which record has a row. It is included in the place of a line that names it; KEYS, ARGV and Returns are those of the
-- script that includes it, and these locals of it:
--
-- p, width  what comes before every key of the model; width of an entry of the row directory as a number
local function id_of(row)
  if width == 0 then return call('HGET', p .. 'd:' .. floor(row / CHUNK), row % CHUNK) end
  local part = floor(row / DIRECTORY)
  local first = (row - part * DIRECTORY) * width
  local id = call('GETRANGE', p .. 'd:' .. part, text('%d', first), text('%d', first + width - 1))
  if #id == 16 then return text(string.rep('%02x', 4) .. string.rep('-%02x%02x', 4) .. string.rep('%02x', 4), byte(id, 1, 16)) end
end
