-- check_records.lua: finds records that have no row. This file includes rows.lua, inspect.lua and
-- ids.lua.
--
-- KEYS[1], ARGV[1] and the following: see inspect.lua
-- then      keys of records
--
-- Returns   { found }: see inspect.lua
--
-- A repair gives such a record the next row. Its index entries are still missing then;
-- check_rows.lua adds them.

-- include shared/rows.lua
-- include upkeep/inspect.lua

for at = rest + 1, #ARGV do
  local key = ARGV[at]
  local id, type = sub(key, #p + #KEY_RECORD + 1), call('TYPE', key).ok
  if type ~= 'hash' and type ~= 'none' then
    report('type', key, nil, type)
  elseif type == 'hash' then
    local row = tonumber(call('HGET', key, '#') or '')
    if not is_live(row) or id_in(entry_of(row)) ~= id then
      local bytes, new = width, id
      if width > 0 then
        -- include shared/entry.lua
        new = entry
      end
      local possible = new and rows < 2147483648
      report('orphan', key, key, nil, possible)
      if repair and possible then
        local segment = floor(rows / SEGMENT)
        local offset = rows - segment * SEGMENT
        if width == 0 then
          call('HSET', p .. KEY_DIRECTORY .. floor(rows / CHUNK), rows % CHUNK, new)
        else
          local at = rows % DIRECTORY
          call('SETRANGE', p .. KEY_ENTRIES .. (rows - at) / DIRECTORY, text('%d', at * width), new)
        end
        call('SETBIT', p .. KEY_LIVE .. segment, offset, 1)
        call('HSET', key, '#', text('%d', rows))
        rows = rows + 1
        call('HSET', KEYS[1], 'rows', text('%d', rows))
        call('HINCRBY', KEYS[1], 'count', 1)
      end
    end
  end
end
return { found }
