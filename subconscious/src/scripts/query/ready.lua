-- ready.lua: whether a query can be answered, and how large the model is. A library for queries.
-- Other scripts include this file. KEYS, ARGV and Returns are those of the including script.
--
-- ARGV[2]   registration of the program (see ModelSchema::registration), or the fingerprint of what
--           indexes depend on
--
-- Exports   total, handed, segments   number of records, number of rows handed out, number of
--                                     segments that may have rows
--           building                  columns whose indexes are being built, as :name:name:, or nil
--           first_due                 when the first record expires, in milliseconds, or false
--           now_if_due()              the time in milliseconds if records have expired that are not
--                                     removed yet, else nil
--           not_ready(timeless)       nil if the query can be answered, else a refusal: { schema,
--                                     stored schema, stored types }, { columns, stored types }, or
--                                     { due }. With `timeless` it is never { due }, as the client
--                                     handles expired records. A script that finds an index
--                                     unfinished refuses with { building, column }
local total, handed, segments, building, first_due = 0, 0, 0, nil, nil

local function now_if_due()
  if not first_due then return nil end
  local time = call('TIME')
  local now = time[1] * 1000 + floor(time[2] / 1000)
  return tonumber(first_due) <= now and now or nil
end

local function not_ready(timeless)
  local meta = call('HMGET', p .. KEY_META, ARGV[2], 'rows', 'count', 'due')
  total, first_due = tonumber(meta[3] or 0), meta[4]
  if total == 0 then return nil end
  if not timeless and now_if_due() then return refuse('due') end
  if meta[1] ~= '1' then
    local stored = call('HMGET', p .. KEY_META, 'schema', 'columns', 'types', 'building')
    local indexes = string.sub(ARGV[2], 1, 16)
    if stored[1] ~= indexes and stored[1] ~= indexes .. '+' then
      return refuse('schema', stored[2] or stored[1] or '', stored[3] or '')
    end
    -- A caller that may not register has compared the types itself. It sends only the fingerprint.
    if not meta[1] and ARGV[2] ~= indexes then return refuse('columns', stored[3] or '') end
    -- A migration to this schema is under way.
    if stored[1] ~= indexes then building = stored[4] or '' end
    if building and string.find(building, ':#:', 1, true) then return refuse('building', '#') end
  end
  handed = tonumber(meta[2])
  segments = math.ceil(handed / SEGMENT)
end
