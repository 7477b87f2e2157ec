-- expire.lua: sets or removes the deadline of a record that has just been written, and keeps what
-- its removal will need. Other scripts include this file. KEYS, ARGV and Returns are those of the
-- including script. This file uses these locals of that script:
--
-- p, key, row, due: as in index.lua
-- deadline  the new deadline in milliseconds; true: as before, and there is one; false: none; nil:
--           as before
-- kept      the values of the indexed columns by their names, and the id by '', if the record has a
--           deadline
if deadline then
  call('HSET', p .. KEY_EXPIRING .. floor(row / CHUNK), row % CHUNK, cmsgpack.pack(kept))
  if deadline ~= true then
    deadline = math.min(deadline, LAST_DEADLINE)
    call('PEXPIREAT', key, text('%d', deadline))
    local at = text('%d', deadline)
    call('ZADD', p .. KEY_TTL, at, text('%d', row))
    if not due or deadline < tonumber(due) then call('HSET', p .. KEY_META, 'due', at) end
  end
elseif deadline == false and due then
  call('PERSIST', key)
  call('ZREM', p .. KEY_TTL, text('%d', row))
  call('HDEL', p .. KEY_EXPIRING .. floor(row / CHUNK), row % CHUNK)
end
