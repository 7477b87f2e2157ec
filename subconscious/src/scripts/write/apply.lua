-- apply.lua: makes the changes that index.lua planned. Other scripts include this file. KEYS, ARGV
-- and Returns are those of the including script.
for at = 0, planned - SLOTS, SLOTS do
  local step, target = plan[at + SLOT_STEP], plan[at + SLOT_KEY]
  if step <= STEP_BITMAP then
    local adds, size, name, value, ordinal = plan[at + SLOT_ADDS], plan[at + SLOT_SIZE], plan[at + SLOT_NAME], plan[at + SLOT_VALUE], plan[at + SLOT_ORDINAL]
    -- Number of rows that a set of a container has left, if it may be time for a posting list.
    local left
    if step == STEP_LIST then
      if not adds then
        if call('SREM', target, mark) == 1 and size == 1 and ordinal then call('ZREM', p .. KEY_VALUES .. name, sub(value, 2)) end
      elseif size < PROMOTE then
        call('SADD', target, mark)
        if size == 0 and ordinal then call('ZADD', p .. KEY_VALUES .. name, ordinal, sub(value, 2)) end
      else
        -- include write/divide.lua
      end
    elseif step == STEP_SET then
      if not adds then
        if call('SREM', target, offset) == 1 then left = size - 1 end
        if left == 0 and call('HINCRBY', p .. KEY_DIVIDED .. name, value, '-1') <= 0 then
          call('HDEL', p .. KEY_DIVIDED .. name, value)
          if ordinal then call('ZREM', p .. KEY_VALUES .. name, sub(value, 2)) end
        end
      elseif size < PROMOTE then
        call('SADD', target, offset)
        if size == 0 then call('HINCRBY', p .. KEY_DIVIDED .. name, value, '1') end
      else
        -- The set becomes a bitmap. It is allocated at its full size at once, except in the first
        -- segment, as a model may have few records.
        local bitmap = containers .. sub(target, #containers + 1)
        if segment ~= '0' then call('SETBIT', bitmap, SEGMENT - 1, '0') end
        for _, member in ipairs(call('SMEMBERS', target)) do call('SETBIT', bitmap, member, '1') end
        call('SETBIT', bitmap, offset, '1')
        call('DEL', target)
      end
    else
      call('SETBIT', target, offset, adds and '1' or '0')
      if not adds then
        -- The first bytes mostly show that enough rows are left for a bitmap.
        local most = size > 2048 and call('BITCOUNT', target, '0', '2047') or 0
        if most <= DEMOTE and size > 8192 then most = call('BITCOUNT', target, '0', '8191') end
        if most <= DEMOTE then most = call('BITCOUNT', target) end
        if most <= DEMOTE and most > 0 then
          local rows = bits()(call('GET', target))
          call('DEL', target)
          call('SADD', p .. KEY_SET .. sub(target, #containers + 1), unpack(rows))
          left = most
        end
      end
    end
    if left and (left == 0 or DEMOTE % left == 0) then
      -- include write/unite.lua
    end
  else
    local gone, comes = plan[at + SLOT_GONE], plan[at + SLOT_COMES]
    if step == STEP_UNIQUE then
      if gone then call('HDEL', target, gone) end
      if comes then call('HSET', target, comes, mark) end
    else
      if step == STEP_SORTED and gone then call('ZREM', target, gone) end
      if step == STEP_SORTED and comes then call('ZADD', target, plan[at + SLOT_SCORE], comes) end
      local scores = plan[at + SLOT_SCORES]
      if scores then
        -- include write/scores.lua
      end
    end
  end
end
