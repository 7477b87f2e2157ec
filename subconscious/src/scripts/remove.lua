-- remove.lua: removes a record whose index changes index.lua planned. It is included in the place
-- of a line that names it; KEYS, ARGV and Returns are those of the script that includes it, and the
-- locals that index.lua lists and these:
--
-- gone      the record's hash, or false if it is gone already
-- width     width of an entry of the row directory, as text
-- rows, count: rows handed out and records there are
if not segment then
  offset = row % SEGMENT
  segment, offset = text('%d', (row - offset) / SEGMENT), text('%d', offset)
end
local chunk, slot = text('%d', floor(row / CHUNK)), text('%d', row % CHUNK)
call('GETBIT', p .. 'live:' .. segment, 0)
call('ZCARD', p .. 'free')
if width == '0' then call('HLEN', p .. 'd:' .. chunk) end
if due then
  call('ZCARD', p .. 'ttl')
  call('HLEN', p .. 'x:' .. chunk)
end

-- First what a full server lets through, as due.lua says.
if gone then call('UNLINK', gone) end
-- include apply.lua
if due then
  call('ZREM', p .. 'ttl', text('%d', row))
  call('HDEL', p .. 'x:' .. chunk, slot)
end
if width == '0' then call('HDEL', p .. 'd:' .. chunk, slot) end
if count > 1 then
  call('SETBIT', p .. 'live:' .. segment, offset, '0')
  call('ZINCRBY', p .. 'free', '1', segment)
  call('HSET', p .. 'meta', 'count', text('%d', count - 1))
else
  -- The last record takes the rows with it, so that an empty model costs nothing but its meta.
  for at = 0, floor((rows - 1) / SEGMENT) do call('UNLINK', p .. 'live:' .. at) end
  if width ~= '0' then
    for at = 0, floor((rows - 1) / DIRECTORY) do call('UNLINK', p .. 'd:' .. at) end
  end
  call('DEL', p .. 'free')
  call('HSET', p .. 'meta', 'rows', '0', 'count', '0')
end
