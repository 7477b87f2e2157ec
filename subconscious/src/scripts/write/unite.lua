-- unite.lua: moves the rows of a divided value back to a posting list, if few are left. A part of
-- apply.lua, which includes this file. KEYS, ARGV and Returns are those of the script that includes
-- that one. This file uses these locals of apply.lua: p, name, value, containers, and left, the
-- number of rows that the segment's container has left.
--
-- It is included where a container has as many rows left as a power of two, and looks at the other
-- containers only if all may have few rows. So it costs a write little, however a value shrinks.
local count = tonumber(redis.pcall('HGET', p .. KEY_DIVIDED .. name, value)) or 0
if count > 0 and left * count <= UNITE then
  local sets, total, number = {}, 0, 0
  while #sets < count and total <= UNITE and number * SEGMENT <= LAST_ROW do
    local place = text('%s:%d%s', name, number, value)
    local size = call('SCARD', p .. KEY_SET .. place)
    if size > 0 then
      sets[#sets + 1] = { p .. KEY_SET .. place, number }
      total = total + size
    elseif call('EXISTS', containers .. place) == 1 then
      total = UNITE + 1
    end
    number = number + 1
  end
  if #sets == count and total <= UNITE then
    local list = p .. KEY_LIST .. name .. value
    call('DEL', list)
    for _, set in ipairs(sets) do
      local rows = call('SMEMBERS', set[1])
      for i, offset in ipairs(rows) do rows[i] = text('%d', set[2] * SEGMENT + offset) end
      call('SADD', list, unpack(rows))
      call('DEL', set[1])
    end
    call('HDEL', p .. KEY_DIVIDED .. name, value)
  end
end
