-- ready.lua: whether a query can be answered, and how large the model is. A library of scripts that
-- answer queries. KEYS and ARGV are those of the script that includes it:
--
-- ARGV[2]   registration of the program (see ModelSchema::registration), or the fingerprint of what
--           indexes depend on
--
-- Exports   total, handed, segments   records there are, rows handed out, and segments that may
--           have rows
--           building                  columns whose indexes are being built, as :name:name:, or nil
--           first_due                 when the first record expires, in milliseconds, or false
--           now_if_due()              the time in milliseconds if records have expired that are not
--                                     removed yet; nil if none
--           not_ready(timeless)       what is wrong, nil if nothing is: { schema, stored schema,
--                                     stored types }, { columns, stored types }, or, unless records
--                                     that expired are left to the client, { due }
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
    -- A caller that may not register has compared the types itself, and sends the fingerprint
    -- alone.
    if not meta[1] and ARGV[2] ~= indexes then return refuse('columns', stored[3] or '') end
    -- A migration to this schema is under way.
    if stored[1] ~= indexes then building = stored[4] or '' end
  end
  handed = tonumber(meta[2])
  segments = math.ceil(handed / SEGMENT)
end
