-- entry.lua: the form of an id in a row directory of ids of fixed width: see to_directory in
-- model/id.rs. Other scripts include this file in place. KEYS, ARGV and Returns are those of the
-- including script. This file uses these locals of that script, and sets one:
--
-- id, bytes   an id as text; the width in bytes of an entry
-- entry       set here to the entry; nil if no such model has this id
local entry
local digits = bytes == 16 and string.gsub(id, '-', '') or string.rep('0', 2 * bytes - #id) .. string.gsub(id, '^%-', 'a')
if #digits == 2 * bytes and not string.find(digits, '%X') then
  entry = ''
  for i = 1, 2 * bytes, 4 do
    local part = sub(digits, i, i + 3)
    entry = entry .. struct.pack(#part == 4 and '>I2' or 'B', tonumber(part, 16))
  end
end
