-- enter.lua: enters a new row into sorted sets. Other scripts include this file in place. KEYS,
-- ARGV and Returns are those of the including script. This file uses the locals of scores.lua, and
-- these:
--
-- p, width             as in put.lua
-- segment, offset      the row's segment and the offset in it, as text
--
-- index.lua does not check the types of the sorted sets of a new row, as each check would cost a
-- command. They are written first, except for the row directory and the live rows. If one of them
-- has another type, all of this is undone: the row had no entries before.
for at = 0, planned - SLOTS, SLOTS do
  if plan[at + SLOT_STEP] == STEP_SORTED and plan[at + SLOT_COMES] then
    local reply = redis.pcall('ZADD', plan[at + SLOT_KEY], plan[at + SLOT_SCORE], plan[at + SLOT_COMES])
    if type(reply) == 'table' and reply.err then
      for before = 0, at - SLOTS, SLOTS do
        if plan[before + SLOT_STEP] == STEP_ENTERED then call('ZREM', plan[before + SLOT_KEY], plan[before + SLOT_COMES]) end
      end
      call('SETBIT', p .. KEY_LIVE .. segment, offset, '0')
      if width == '0' then call('HDEL', p .. KEY_DIRECTORY .. floor(row / CHUNK), row % CHUNK) end
      error(reply, 0)
    end
    plan[at + SLOT_STEP] = STEP_ENTERED
  end
end
