-- check_counts.lua: compares the numbers in meta, and the numbers of freed rows, with the rows in
-- use. This file includes rows.lua, inspect.lua and ids.lua.
--
-- KEYS[1], ARGV[1] and the following: see inspect.lua
-- then      the greatest segment that has rows in use, or -1
--
-- Returns   { found }: see inspect.lua

-- include shared/rows.lua
-- include upkeep/inspect.lua

local count, free = 0, p .. KEY_FREE
if not has_type(free, 'zset') then
  report('type', free, nil, call('TYPE', free).ok, true)
  if repair then call('UNLINK', free) else return { found } end
end
for segment = 0, math.max(floor((rows - 1) / SEGMENT), tonumber(ARGV[rest + 1])) do
  local live = p .. KEY_LIVE .. segment
  local handed = math.max(0, math.min(SEGMENT, rows - segment * SEGMENT))
  local used = handed > 0 and call('BITCOUNT', live, 0, handed - 1, 'BIT') or 0
  local beyond = call('BITCOUNT', live) - used
  if beyond > 0 then
    report('count', live, nil, beyond .. ' rows beyond those that were handed out', true)
    if repair then
      for _, offset in ipairs(bits()(call('GET', live))) do
        if offset >= handed then call('SETBIT', live, text('%d', offset), 0) end
      end
    end
  end
  local left, noted = handed - used, tonumber(call('ZSCORE', free, segment) or 0)
  if noted ~= left then
    report('count', free, nil, text('%d of %d rows of segment %d', noted, left, segment), true)
    if repair then
      if left > 0 then call('ZADD', free, left, segment) else call('ZREM', free, segment) end
    end
  end
  count = count + used
end
local noted = tonumber(meta[4] or 0)
if noted ~= count then
  report('count', KEYS[1], nil, text('%d of %d records', noted, count), true)
  if repair then call('HSET', KEYS[1], 'count', text('%d', count)) end
end
local earliest = call('ZRANGE', p .. KEY_TTL, 0, 0, 'WITHSCORES')[2]
if earliest and (not due or tonumber(due) > tonumber(earliest)) then
  report('count', KEYS[1], nil, 'due is later than the first record expires', true)
  if repair then call('HSET', KEYS[1], 'due', earliest) end
end
return { found }
