-- order.lua: reads some rows of a sorted set in its order.
--
-- KEYS[1]   the key t:0 of the model, which is never there: the server wants a right to write for
--           what it is told (see docs/src/rights.md)
-- ARGV[1]   what comes before every key of the model
-- ARGV[2]   registration of the program, see ready.lua
-- ARGV[3], ARGV[4]: as in query.lua, not used here
-- ARGV[5]   the column
-- ARGV[6]   asc or desc
-- ARGV[7], ARGV[8]: score and member after which to begin, "" for the first row
-- ARGV[9]   a rank in this direction, to begin after the member that has it; "" to begin after
--           ARGV[7] and ARGV[8]
-- ARGV[10]  number of rows
-- ARGV[11]  scores if each member is to be followed by its score, else ""
-- then      the filter: of a range of the column, or all (see nodes.lua)
--
-- Returns   { score and member at the rank that was given, score and member of the last row, its
--           rank in this direction, number of rows that follow, microseconds, the members, packed
--           by cmsgpack }
--           or nil, what is wrong, .. (see ready.lua)

-- include filter.lua

local function run()
  local refusal = not_ready(true)
  if refusal then return refusal end
  local node, key, mark, rank_given = parse_filter(12), p .. KEY_SORTED .. ARGV[5], ARGV[7], tonumber(ARGV[9])
  local unbuilt = needs_unbuilt()
  if unbuilt then return refuse('building', unbuilt) end
  local low, high, count = node.from or 0, node.to or call('ZCARD', key), tonumber(ARGV[10])
  if node == NONE then high = 0 end
  local desc, size, first = ARGV[6] == 'desc', nil, nil
  -- Ranks count from the other end there.
  if desc then size = call('ZCARD', key) end
  local function range(from, to, scores)
    local asked = { 'ZRANGE', key, from, to }
    if desc then asked[#asked + 1] = 'REV' end
    if scores then asked[#asked + 1] = 'WITHSCORES' end
    return call(unpack(asked))
  end
  local before = {}
  if rank_given then
    before = range(rank_given, rank_given, true)
    if desc then high = math.min(high, size - rank_given - 1) else low = math.max(low, rank_given + 1) end
  elseif mark ~= '' then
    if desc then high = math.min(high, rank(key, mark, ARGV[8])) else low = math.max(low, rank(key, mark, ARGV[8] .. '\0')) end
  end
  if desc then first = size - high else first = low end
  count = math.min(count, high - low)
  local list, score, last = {}, '', ''
  if count > 0 then
    local scores = ARGV[11] == 'scores'
    list = range(first, first + count - 1, scores)
    count = scores and #list / 2 or #list
    last = list[scores and #list - 1 or #list]
    score = scores and list[#list] or call('ZSCORE', key, last)
  end
  return {
    before[2] or '', before[1] or '', score, last, first + count - 1, math.max(0, high - low - count), took(), cmsgpack.pack(list),
  }
end

return leave_nothing(run)
