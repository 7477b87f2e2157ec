-- due.lua: removes records that expired, as far as Redis has not: their rows and index entries. It
-- is included in the place of a line that names it; KEYS, ARGV and Returns are those of the script
-- that includes it, and these locals of it:
--
-- p, n, names, specs, width: as in index.lua and remove.lua, of all indexed columns
-- now       the time in milliseconds. A record is gone as of its deadline: servers differ in
--           whether it is there in that very millisecond, and some remove it in it or not, as it
--           comes
-- limit     number of records to remove at most
-- due       set here to when the next record expires, or false
--
-- The hash of such a record is gone, so what its index entries were made of is in x:<row / 128>:
-- the values by the names of their columns, and the id by the empty name. Each record is removed in
-- a step of its own: an error leaves those before it removed as a whole.
--
-- A full server refuses a script's first write if that may take memory, and lets it go on after any
-- other. So the first is one that frees: to remove what expired must not need free memory.
call('DEL', p .. KEY_TEMPORARY .. '1')
for _, mark in ipairs(call('ZRANGEBYSCORE', p .. KEY_TTL, '-inf', text('%d', now), 'LIMIT', 0, limit)) do
  local row, known, positions, segment, offset = tonumber(mark), true, nil, nil, nil
  local packed = call('HGET', p .. KEY_EXPIRING .. floor(row / CHUNK), row % CHUNK)
  if packed then
    local kept, old = cmsgpack.unpack(packed), { mark }
    for i = 1, n do old[i + 1] = kept[ARGV[names + i]] or false end
    -- Where the record was saved anew, the hash belongs to another row.
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
