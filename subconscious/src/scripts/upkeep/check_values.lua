-- check_values.lua: compares the ordered values of a column of few values with its containers. This
-- file includes rows.lua, inspect.lua and ids.lua.
--
-- KEYS[1], ARGV[1] and the following: see inspect.lua
-- then      the column's name
--           value and ordinal, and so on
--
-- Returns   { found }: see inspect.lua

-- include shared/rows.lua
-- include upkeep/inspect.lua

local name = ARGV[rest + 1]
local key = p .. KEY_VALUES .. name
if not has_type(key, 'zset') then
  report('type', key, nil, call('TYPE', key).ok, true)
  if repair then call('UNLINK', key) else return { found } end
end
for at = rest + 2, #ARGV, 2 do
  local value, segments = ARGV[at], 0
  for segment = 0, floor((rows - 1) / SEGMENT) do
    local place = name .. ':' .. segment .. ':' .. value
    if call('EXISTS', p .. KEY_BITMAP .. place) + call('EXISTS', p .. KEY_SET .. place) > 0 then segments = segments + 1 end
  end
  local score = ARGV[at + 1] * 65536 + segments
  local stored = tonumber(call('ZSCORE', key, value) or '')
  -- Another program may know a value that this program does not know, so its ordinal stays.
  if stored and ARGV[at + 1] == '65535' then score = stored - stored % 65536 + segments end
  if segments == 0 then
    if stored then
      report('stale', key, nil, value, true)
      if repair then call('ZREM', key, value) end
    end
  elseif stored ~= score then
    report('missing', key, nil, value, true)
    if repair then call('ZADD', key, text('%d', score), value) end
  end
end
return { found }
