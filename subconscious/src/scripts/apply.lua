-- apply.lua: makes the changes that index.lua planned. It is included in the place of a line that names it; KEYS, ARGV and
-- Returns are those of the script that includes it.
for step = 0, planned - 8, 8 do
  local target, bytes, members = plan[step + 1], plan[step + 2], plan[step + 3]
  local values, value = plan[step + 5], plan[step + 6]
  if not bytes then
    if members then call('ZREM', target, members) end
    if values then call('ZADD', target, plan[step + 4], values) end
  elseif plan[step + 8] then
    if bytes > 0 then
      call('SETBIT', target, offset, '1')
    elseif members >= PROMOTE then
      -- The set becomes a bitmap, allocated at its full size at once but in the first segment, where tables may be tiny.
      local bitmap = p .. 'b:' .. plan[step + 4]
      if segment ~= '0' then call('SETBIT', bitmap, SEGMENT - 1, '0') end
      for _, member in ipairs(call('SMEMBERS', target)) do call('SETBIT', bitmap, member, '1') end
      call('SETBIT', bitmap, offset, '1')
      call('DEL', target)
    else
      call('SADD', target, offset)
      if values and members == 0 then
        -- The score is ordinal * 65536 + segments that hold the value; the value goes with its last segment.
        call('ZADD', values, 'NX', plan[step + 7] * 65536, value)
        call('ZINCRBY', values, '1', value)
      end
    end
  else
    local left = 0
    if bytes > 0 then
      call('SETBIT', target, offset, '0')
      -- The first quarter mostly tells that there are enough left.
      if bytes > 2048 then left = call('BITCOUNT', target, '0', '2047') end
      if left <= DEMOTE then left = call('BITCOUNT', target) end
      if left <= DEMOTE then
        local rows = bits()(call('GET', target))
        call('DEL', target)
        if left > 0 then call('SADD', p .. 'i:' .. plan[step + 4], unpack(rows)) end
      end
    else
      left = members - call('SREM', target, offset)
    end
    if left == 0 and values and tonumber(call('ZINCRBY', values, '-1', value)) % 65536 == 0 then
      call('ZREM', values, value)
    end
  end
end
