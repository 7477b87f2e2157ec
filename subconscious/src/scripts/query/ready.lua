-- ready.lua: whether a query can be answered, and how large the model is. A library for queries.
-- Other scripts include this file. KEYS, ARGV and Returns are those of the including script.
--
-- ARGV[2]   registration of the program (see ModelSchema::registration), or the fingerprint of the
--           stored schema
--
-- Exports   total, handed, segments   number of records, number of rows handed out, number of
--                                     segments that may have rows
--           first_due                 when the first record expires, in milliseconds, or false
--           now_if_due()              the time in milliseconds if records have expired that are not
--                                     removed yet, else nil
--           not_ready(timeless)       nil if the query can be answered, else a refusal: { schema,
--                                     .. } (see stored.lua) or { due }. With `timeless` it is never
--                                     { due }, as the client handles expired records
local total, handed, segments, first_due = 0, 0, 0, nil

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
  -- A caller that may not register has compared the schemas itself. It sends only the fingerprint.
  if meta[1] ~= '1' and call('HGET', p .. KEY_META, 'schema') ~= ARGV[2] then
    -- include shared/stored.lua
  end
  handed = tonumber(meta[2])
  segments = math.ceil(handed / SEGMENT)
end
