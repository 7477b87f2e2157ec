-- order.lua: reads some rows of a sorted set in its order. Includes rows.lua, filter.lua and ready.lua.
--
-- KEYS[1]   the key t:0 of the model, which is never there: the server wants a right to write for what it is told (see docs/src/rights.md)
-- ARGV[1]   what comes before every key of the model
-- ARGV[2]   registration of the program, see ready.lua
-- ARGV[3], ARGV[4]: as in query.lua, not used here
-- ARGV[5]   the column
-- ARGV[6]   asc or desc
-- ARGV[7], ARGV[8]: score and member after which to begin, "" for the first row
-- ARGV[9]   number of rows
-- ARGV[10]  scores if each member is to be followed by its score, else ""
-- then      the filter: of a range of the column, or * (see filter.lua)
--
-- Returns   { number of rows that follow, score of the last one, its rank in this direction, microseconds, the last one, then
--           the members }
--           or nil, what is wrong, .. (see ready.lua)
at, timeless = 11, true

local function run()
  -- include ready.lua
  local node, key, mark = parse(), p .. 's:' .. ARGV[5], ARGV[7]
  if unbuilt then return refuse('building', unbuilt) end
  local low, high, count = node.from or 0, node.to or call('ZCARD', key), tonumber(ARGV[9])
  if node == NONE then high = 0 end
  local desc, first, list = ARGV[6] == 'desc', low, {}
  if mark ~= '' and desc then high = math.min(high, rank(key, mark, ARGV[8])) end
  if mark ~= '' and not desc then low = math.max(low, rank(key, mark, ARGV[8] .. '\0')) end
  -- Ranks count from the other end there.
  if desc then first = call('ZCARD', key) - high else first = low end
  count = math.min(count, high - low)
  if count > 0 then
    local scores, asked = ARGV[10] == 'scores', { 'ZRANGE', key, first, first + count - 1 }
    if desc then asked[5] = 'REV' end
    if scores then asked[#asked + 1] = 'WITHSCORES' end
    list = call(unpack(asked))
    if scores then count = #list / 2 else count = #list end
  end
  local last = list[ARGV[10] == 'scores' and #list - 1 or #list]
  local score = last and call('ZSCORE', key, last) or ''
  local reply = { math.max(0, high - low - count), score, first + count - 1, took(), last or '' }
  for i = 1, #list do reply[5 + i] = list[i] end
  return reply
end

return leave_nothing(run)
