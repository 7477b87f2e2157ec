-- remove.lua: removes a record whose index changes index.lua planned. Other scripts include this
-- file. KEYS, ARGV and Returns are those of the including script. This file uses the locals that
-- index.lua lists, and these:
--
-- gone      the record's hash, or false if it does not exist any more
-- width     width in bytes of an entry of the row directory, as text
-- rows, count: number of rows handed out; number of records
if not segment then
  offset = row % SEGMENT
  segment, offset = text('%d', (row - offset) / SEGMENT), text('%d', offset)
end
local chunk, slot = text('%d', floor(row / CHUNK)), text('%d', row % CHUNK)
call('GETBIT', p .. KEY_LIVE .. segment, 0)
call('ZCARD', p .. KEY_FREE)
if width == '0' then call('HLEN', p .. KEY_DIRECTORY .. chunk) end
if due then
  call('ZCARD', p .. KEY_TTL)
  call('HLEN', p .. KEY_EXPIRING .. chunk)
end

-- The first write must be one that a full server does not refuse: see due.lua.
if gone then call('UNLINK', gone) end
-- include write/apply.lua
if due then
  call('ZREM', p .. KEY_TTL, text('%d', row))
  call('HDEL', p .. KEY_EXPIRING .. chunk, slot)
end
if width == '0' then call('HDEL', p .. KEY_DIRECTORY .. chunk, slot) end
if count > 1 then
  call('SETBIT', p .. KEY_LIVE .. segment, offset, '0')
  call('ZINCRBY', p .. KEY_FREE, '1', segment)
  call('HSET', p .. KEY_META, 'count', text('%d', count - 1))
else
  -- The rows are deleted with the last record, so that an empty model needs no memory but its meta.
  for at = 0, floor((rows - 1) / SEGMENT) do call('UNLINK', p .. KEY_LIVE .. at) end
  if width ~= '0' then
    for at = 0, floor((rows - 1) / DIRECTORY) do call('UNLINK', p .. KEY_ENTRIES .. at) end
  end
  for i = 1, n do
    local index, kind = byte(ARGV[specs + i], 1, 2)
    if (index == INDEX_SORTED or index == INDEX_BOTH) and kind ~= KIND_BYTES then
      for at = 0, floor((rows - 1) / PART) do call('UNLINK', p .. KEY_SCORES .. ARGV[names + i] .. ':' .. at) end
    end
  end
  call('DEL', p .. KEY_FREE)
  call('HSET', p .. KEY_META, 'rows', '0', 'count', '0')
end
