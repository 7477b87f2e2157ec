-- bitmaps.lua: reads which rows match a filter, as bitmaps. Includes rows.lua, filter.lua and ready.lua.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   what comes before every key of the model
-- ARGV[2]   fingerprint of the schema
-- ARGV[3]   microseconds after which the call ends where it is, see filter.lua
-- ARGV[4]   width of an entry of the row directory, 0 where it is made of hashes
-- ARGV[5]   segment to begin with, "" for the first one
-- ARGV[6]   asc or desc, the order of the segments
-- then      the filter (see filter.lua)
--
-- Returns   { next segment, or -1 if there is none, records there are, 1 or 0: whether all of these rows match, or their records have to be
--           looked at, microseconds, then for every segment with rows: segment, and its bitmap or a list of offsets }
--           or nil, what is wrong, .. (see ready.lua)
at = 7

local function run()
  -- include ready.lua
  local node = parse()
  if unbuilt then return refuse('building', unbuilt) end
  local cheap, rest = split(settle(node))
  local reply = { -1, total, rest and 0 or 1, 0 }
  local first, last, step = 0, segments - 1, 1
  if ARGV[6] == 'desc' then first, last, step = segments - 1, 0, -1 end
  if ARGV[5] ~= '' then first = tonumber(ARGV[5]) end
  for segment = first, last, step do
    local set = evaluate(cheap, segment)
    if type(set) == 'string' then set = call('BITPOS', set, 1) >= 0 and call('GET', set) end
    if set then
      reply[#reply + 1] = segment
      reply[#reply + 1] = set
    end
    in_use = pinned
    if segment ~= last and spent(60) then
      reply[1] = segment + step
      break
    end
  end
  reply[4] = took()
  return reply
end

return leave_nothing(run)
