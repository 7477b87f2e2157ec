-- elements.lua: what changes in a list. Other scripts include this file. KEYS, ARGV and Returns are
-- those of the including script. A script includes it where it has a list, so writes without a list
-- do not pay for it. This file sets this local:
--
-- elements  a function from the stored forms of a list before and after a write (nil if there is no
--           record, false for null) to a list of changes: a value, whether it is added, and so on
-- In a stored list each element ends with a comma. In an element, \c is a comma and \\ a backslash.
-- Another program may have stored a text that is no list: its elements are those that end with a
-- comma. See list::entries in Rust.
local function values(list)
  if not list then return { list } end
  local find, sub = string.find, string.sub
  local found, at, comma = {}, 1, find(list, ',', 1, true)
  while comma do
    local element = sub(list, at, comma - 1)
    if find(element, '\\', 1, true) then
      element = string.gsub(element, '\\(.)', function(mark) if mark == 'c' then return ',' end return mark end)
    end
    found[#found + 1] = element
    at = comma + 1
    comma = find(list, ',', at, true)
  end
  return found
end
local function elements(before, new)
  local had, has, changes = {}, {}, {}
  for _, value in ipairs(values(before)) do had[value] = true end
  for _, value in ipairs(values(new)) do
    if not had[value] and not has[value] then
      changes[#changes + 1] = value
      changes[#changes + 1] = true
    end
    has[value] = true
  end
  for value in pairs(had) do
    if not has[value] then
      changes[#changes + 1] = value
      changes[#changes + 1] = false
    end
  end
  return changes
end
