-- elements.lua: what changes in a list. It is included in the place of a line that names it, where
-- there is a list: others do not pay for it. KEYS, ARGV and Returns are those of the script that
-- includes it, and this is set here:
--
-- elements  a function from the stored forms of a list before and after a write (nil if there is no
--           record, false for null) to what changes: value and whether it comes, and so on. Each
--           element ends with a comma; in it, \c is a comma and \\ a backslash.
-- What is no list, as something else may have stored it, has those elements that end with a comma:
-- see list::entries in Rust.
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
