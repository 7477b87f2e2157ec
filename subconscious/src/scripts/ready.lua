-- ready.lua: looks whether a query can be answered. It is included in the place of a line that names it, in a function that returns what the
-- script does; KEYS and ARGV are those of that script.
--
-- It returns what is wrong: { schema, stored schema }, { due } (there are records that expired, see purge_expired.lua), but for scripts that leave
-- these to the client; parsing the filter then finds out { building, column }.
local meta = call('HMGET', p .. 'meta', 'schema', 'rows', 'count', 'due')
total = tonumber(meta[3] or 0)
if total > 0 then
  if meta[4] and not timeless then
    local now = call('TIME')
    if tonumber(meta[4]) <= now[1] * 1000 + floor(now[2] / 1000) then return refuse('due') end
  end
  if meta[1] == ARGV[2] .. '+' then
    -- A migration to this schema is under way.
    building = call('HGET', p .. 'meta', 'building') or ''
  elseif meta[1] ~= ARGV[2] then
    return refuse('schema', call('HGET', p .. 'meta', 'columns') or meta[1] or '')
  end
  handed = tonumber(meta[2])
  segments = math.ceil(handed / SEGMENT)
end
