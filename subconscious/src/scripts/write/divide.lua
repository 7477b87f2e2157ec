-- divide.lua: moves the rows of a value from its posting list to containers, and adds a row. A part
-- of apply.lua, which includes this file. KEYS, ARGV and Returns are those of the script that
-- includes that one. This file uses these locals of apply.lua: p, row, target (the posting list),
-- name, value, containers.
local parts, count = {}, 0
local members = call('SMEMBERS', target)
members[#members + 1] = mark
for _, member in ipairs(members) do
  local offset = member % SEGMENT
  local number = (member - offset) / SEGMENT
  local part = parts[number]
  if not part then
    part = {}
    parts[number], count = part, count + 1
  end
  part[#part + 1] = text('%d', offset)
end
for number, part in pairs(parts) do
  local place = text('%s:%d%s', name, number, value)
  local bitmap, set = containers .. place, p .. KEY_SET .. place
  -- What may be left of a container there belongs to no value, as the value was not divided.
  call('DEL', bitmap, set)
  if #part > PROMOTE or #part > PROMOTE_EARLY and #part * SEGMENT >= 8 * call('STRLEN', text('%s%d', p .. KEY_LIVE, number)) * PROMOTE then
    if number > 0 then call('SETBIT', bitmap, SEGMENT - 1, '0') end
    for _, offset in ipairs(part) do call('SETBIT', bitmap, offset, '1') end
  else
    call('SADD', set, unpack(part))
  end
end
call('DEL', target)
call('HSET', p .. KEY_DIVIDED .. name, value, count)
