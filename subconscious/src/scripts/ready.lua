-- ready.lua: looks whether a query can be answered. It is included in the place of a line that names it, in a function that returns what the
-- script does; KEYS and ARGV are those of that script.
--
-- ARGV[2]   registration of the program (see ModelSchema::registration), or the fingerprint of what indexes depend on
--
-- It returns what is wrong: { schema, stored schema, stored types }, { columns, stored types },
-- { due } (there are records that expired, see purge_expired.lua), but for scripts that leave these
-- to the client; parsing the filter then finds out { building, column }.
local meta = call('HMGET', p .. 'meta', ARGV[2], 'rows', 'count', 'due')
total = tonumber(meta[3] or 0)
if total > 0 then
  if meta[4] and not timeless then
    local now = call('TIME')
    if tonumber(meta[4]) <= now[1] * 1000 + floor(now[2] / 1000) then return refuse('due') end
  end
  if meta[1] ~= '1' then
    local stored = call('HMGET', p .. 'meta', 'schema', 'columns', 'types', 'building')
    local indexes = string.sub(ARGV[2], 1, 16)
    if stored[1] ~= indexes and stored[1] ~= indexes .. '+' then
      return refuse('schema', stored[2] or stored[1] or '', stored[3] or '')
    end
    -- A caller that may not register has compared the types itself, and sends the fingerprint
    -- alone.
    if not meta[1] and ARGV[2] ~= indexes then return refuse('columns', stored[3] or '') end
    -- A migration to this schema is under way.
    if stored[1] ~= indexes then building = stored[4] or '' end
  end
  handed = tonumber(meta[2])
  segments = math.ceil(handed / SEGMENT)
end
