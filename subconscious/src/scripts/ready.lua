-- ready.lua: whether a query can be answered, and how large the model is. A library of scripts that answer queries. KEYS and ARGV are
-- those of the script that includes it:
--
-- ARGV[2]   fingerprint of the schema
--
-- Exports   total, handed, segments   records there are, rows handed out, and segments that may have rows
--           building                  columns whose indexes are being built, as :name:name:, or nil
--           first_due                 when the first record expires, in milliseconds, or false
--           now_if_due()              the time in milliseconds if records have expired that are not removed yet; nil if none
--           not_ready(timeless)       what is wrong, nil if nothing is: { schema, stored schema }, or, unless records that
--                                     expired are left to the client, { due }
local total, handed, segments, building, first_due = 0, 0, 0, nil, nil

local function now_if_due()
  if not first_due then return nil end
  local time = call('TIME')
  local now = time[1] * 1000 + floor(time[2] / 1000)
  return tonumber(first_due) <= now and now or nil
end

local function not_ready(timeless)
  local meta = call('HMGET', p .. 'meta', 'schema', 'rows', 'count', 'due')
  total, first_due = tonumber(meta[3] or 0), meta[4]
  if total == 0 then return nil end
  if not timeless and now_if_due() then return refuse('due') end
  if meta[1] == ARGV[2] .. '+' then
    -- A migration to this schema is under way.
    building = call('HGET', p .. 'meta', 'building') or ''
  elseif meta[1] ~= ARGV[2] then
    return refuse('schema', call('HGET', p .. 'meta', 'columns') or meta[1] or '')
  end
  handed = tonumber(meta[2])
  segments = math.ceil(handed / SEGMENT)
end
