-- due.lua: removes what Redis leaves of records that expired: their rows and index entries. Other
-- scripts include this file. KEYS, ARGV and Returns are those of the including script. This file
-- uses these locals of that script:
--
-- p, n, names, specs, width: as in index.lua and remove.lua, of all indexed columns
-- now       the time in milliseconds. A record is gone as of its deadline. In that very
--           millisecond, some servers still have its hash, some do not, and some may or may not
--           have it
-- limit     greatest number of records to remove
-- due       set here to when the next record expires, or false
--
-- The hash of such a record is gone. So x:<row / 128> has what its index entries were made of: the
-- values by the names of their columns, and the id by the empty name. Each record is removed in a
-- step of its own: if one fails, those before it are removed completely.
--
-- A full server refuses the first write of a script if that write may take memory. After any other
-- first write it lets the script continue. So the first write here frees memory: removing expired
-- records must not need free memory.
call('DEL', p .. KEY_TEMPORARY .. '1')
for _, mark in ipairs(call('ZRANGEBYSCORE', p .. KEY_TTL, '-inf', text('%d', now), 'LIMIT', 0, limit)) do
  local row, known, positions, segment, offset = tonumber(mark), true, nil, nil, nil
  local packed = call('HGET', p .. KEY_EXPIRING .. floor(row / CHUNK), row % CHUNK)
  if packed then
    local kept, old = cmsgpack.unpack(packed), { mark }
    for i = 1, n do old[i + 1] = kept[ARGV[names + i]] or false end
    -- If the record was saved again, the hash belongs to another row.
    local gone = p .. KEY_RECORD .. kept['']
    if call('HGET', gone, '#') ~= mark then gone = false end
    local numbers = call('HMGET', p .. KEY_META, 'rows', 'count')
    local rows, count = tonumber(numbers[1] or 0), tonumber(numbers[2] or 0)
    -- include write/index.lua
    -- include write/remove.lua
  else
    call('ZREM', p .. KEY_TTL, mark)
  end
end
due = call('ZRANGE', p .. KEY_TTL, 0, 0, 'WITHSCORES')[2] or false
if due then call('HSET', p .. KEY_META, 'due', due) else call('HDEL', p .. KEY_META, 'due') end
