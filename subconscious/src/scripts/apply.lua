-- apply.lua: makes the changes that index.lua planned. It is included in the place of a line that
-- names it; KEYS, ARGV and Returns are those of the script that includes it.
for step = 0, planned - 7, 7 do
  local target, bytes, adds = plan[step + 1], plan[step + 2], plan[step + 3]
  if not bytes then
    if adds then call('ZREM', target, adds) end
    if plan[step + 5] then call('ZADD', target, plan[step + 4], plan[step + 5]) end
  elseif bytes == true then
    if adds then call('HDEL', target, adds) end
    if plan[step + 4] then call('HSET', target, plan[step + 4], text('%d', row)) end
  elseif bytes > 0 then
    call('SETBIT', target, offset, adds and '1' or '0')
    if not adds then
      -- The beginning mostly tells that there are enough left to remain a bitmap.
      local left = bytes > 2048 and call('BITCOUNT', target, '0', '2047') or 0
      if left <= DEMOTE and bytes > 8192 then left = call('BITCOUNT', target, '0', '8191') end
      if left <= DEMOTE then left = call('BITCOUNT', target) end
      if left <= DEMOTE then
        local rows = bits()(call('GET', target))
        call('DEL', target)
        if left > 0 then call('SADD', p .. KEY_SET .. sub(target, #containers + 1), unpack(rows)) end
      end
    end
  else
    local members, values, value = plan[step + 4], plan[step + 5], plan[step + 6]
    if not adds then
      if call('SREM', target, offset) == 1 and members == 1 and values then
        -- The score is ordinal * 65536 + segments that hold the value; the value goes with its last
        -- segment.
        if tonumber(call('ZINCRBY', values, '-1', value)) % 65536 == 0 then call('ZREM', values, value) end
      end
    elseif members >= PROMOTE then
      -- The set becomes a bitmap, allocated at its full size at once but in the first segment,
      -- where tables may be tiny.
      local bitmap = containers .. sub(target, #containers + 1)
      if segment ~= '0' then call('SETBIT', bitmap, SEGMENT - 1, '0') end
      for _, member in ipairs(call('SMEMBERS', target)) do call('SETBIT', bitmap, member, '1') end
      call('SETBIT', bitmap, offset, '1')
      call('DEL', target)
    else
      call('SADD', target, offset)
      if values and members == 0 then
        call('ZADD', values, 'NX', plan[step + 7] * 65536, value)
        call('ZINCRBY', values, '1', value)
      end
    end
  end
end
