-- check_values.lua: compares the divided values of a column, and its values in order if it has few,
-- with its posting lists and containers. This file includes rows.lua, inspect.lua and ids.lua.
--
-- KEYS[1], ARGV[1] and the following: see inspect.lua
-- then      the column's name
--           1 if the column's values are kept in order, else 0
--           : and a value, or "" for null; the value's ordinal; and so on
--
-- Returns   { found }: see inspect.lua

-- include shared/rows.lua
-- include upkeep/inspect.lua

local name, in_order = ARGV[rest + 1], ARGV[rest + 2] == '1'
local divided, values = p .. KEY_DIVIDED .. name, p .. KEY_VALUES .. name
for key, wanted in pairs({ [divided] = 'hash', [in_order and values or divided] = in_order and 'zset' or 'hash' }) do
  if not has_type(key, wanted) then
    report('type', key, nil, call('TYPE', key).ok, true)
    if repair then call('UNLINK', key) else return { found } end
  end
end

-- The number of containers of a value.
local function containers(value)
  local count = 0
  for segment = 0, floor((rows - 1) / SEGMENT) do
    local place = name .. ':' .. segment .. value
    if call('EXISTS', p .. KEY_BITMAP .. place, p .. KEY_SET .. place) > 0 then count = count + 1 end
  end
  return count
end

for at = rest + 3, #ARGV, 2 do
  local value = ARGV[at]
  local list, count = p .. KEY_LIST .. name .. value, containers(value)
  if count > 0 and call('EXISTS', list) == 1 then
    report('twice', list, nil, nil, true)
    if repair then
      -- check_rows.lua finds what the containers then lack.
      for _, member in ipairs(has_type(list, 'set') and call('SMEMBERS', list) or {}) do
        local row = tonumber(member)
        if is_live(row) then
          local place, offset = name .. ':' .. floor(row / SEGMENT) .. value, row % SEGMENT
          if call('EXISTS', p .. KEY_BITMAP .. place) == 1 then
            call('SETBIT', p .. KEY_BITMAP .. place, offset, 1)
          else
            call('SADD', p .. KEY_SET .. place, offset)
          end
        end
      end
      call('UNLINK', list)
      count = containers(value)
    end
  end
  local noted = call('HGET', divided, value)
  if (tonumber(noted or 0) or -1) ~= count or noted and count == 0 then
    report('count', divided, nil, text('%s and not %d containers of %s', noted or 'no', count, value), true)
    if repair then
      if count > 0 then call('HSET', divided, value, count) else call('HDEL', divided, value) end
    end
  end
  if in_order and value ~= '' then
    value = sub(value, 2)
    local stored = call('ZSCORE', values, value)
    if count == 0 and call('EXISTS', list) == 0 then
      if stored then
        report('stale', values, nil, value, true)
        if repair then call('ZREM', values, value) end
      end
    elseif not stored or stored ~= ARGV[at + 1] and ARGV[at + 1] ~= '65535' then
      -- Another program may know a value that this program does not know, so its ordinal stays.
      report('missing', values, nil, value, true)
      if repair then call('ZADD', values, ARGV[at + 1], value) end
    end
  end
end
return { found }
