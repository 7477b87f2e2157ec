-- apply.lua: makes the changes that index.lua planned. Other scripts include this file. KEYS, ARGV
-- and Returns are those of the including script.
for at = 0, planned - SLOTS, SLOTS do
  local step, target = plan[at + SLOT_STEP], plan[at + SLOT_KEY]
  if step == STEP_SET then
    local members, values, value = plan[at + SLOT_SIZE], plan[at + SLOT_VALUES], plan[at + SLOT_VALUE]
    if not plan[at + SLOT_ADDS] then
      if call('SREM', target, offset) == 1 and members == 1 and values then
        -- The score is ordinal * 65536 + number of segments that hold the value. A value is removed
        -- with its last segment.
        if tonumber(call('ZINCRBY', values, '-1', value)) % 65536 == 0 then call('ZREM', values, value) end
      end
    elseif members >= PROMOTE then
      -- The set becomes a bitmap. It is allocated at its full size at once, except in the first
      -- segment, as a model may have few records.
      local bitmap = containers .. sub(target, #containers + 1)
      if segment ~= '0' then call('SETBIT', bitmap, SEGMENT - 1, '0') end
      for _, member in ipairs(call('SMEMBERS', target)) do call('SETBIT', bitmap, member, '1') end
      call('SETBIT', bitmap, offset, '1')
      call('DEL', target)
    else
      call('SADD', target, offset)
      if values and members == 0 then
        call('ZADD', values, 'NX', plan[at + SLOT_ORDINAL] * 65536, value)
        call('ZINCRBY', values, '1', value)
      end
    end
  elseif step == STEP_BITMAP then
    local adds, bytes = plan[at + SLOT_ADDS], plan[at + SLOT_SIZE]
    call('SETBIT', target, offset, adds and '1' or '0')
    if not adds then
      -- The first bytes mostly show that enough rows are left for a bitmap.
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
    local gone, comes = plan[at + SLOT_GONE], plan[at + SLOT_COMES]
    if step == STEP_SORTED then
      if gone then call('ZREM', target, gone) end
      if comes then call('ZADD', target, plan[at + SLOT_SCORE], comes) end
    else
      if gone then call('HDEL', target, gone) end
      if comes then call('HSET', target, comes, text('%d', row)) end
    end
  end
end
