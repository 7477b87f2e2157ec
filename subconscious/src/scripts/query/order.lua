-- order.lua: reads rows of a sorted set in its order.
--
-- KEYS[1]   the key t:0 of the model, which never exists. The server demands a right to write for
--           the key that a script is given (see docs/src/rights.md)
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   registration of the program: see ready.lua
-- ARGV[3]   the budget: only its + is used (see budget.lua)
-- ARGV[4]   as in query.lua, not used here
-- ARGV[5]   the column
-- ARGV[6]   asc or desc
-- ARGV[7], ARGV[8]: score and member after which to begin; "" to begin with the first row
-- ARGV[9]   number of rows
-- ARGV[10]  scores if each member is to be followed by its score, else ""
-- then      the filter: a range of the column, or all (see nodes.lua)
--
-- Returns   { score and member of the last row, its rank in this direction (-1 if there is no row),
--           number of rows that follow, microseconds of the call, the members, packed by cmsgpack }
--           or nil, then a reason and its details (see ready.lua)

-- include query/begin.lua
-- include query/filter.lua

local function run()
  local refusal = not_ready(true)
  if refusal then return refusal end
  local node, key, mark = parse_filter(11), p .. KEY_SORTED .. ARGV[5], ARGV[7]
  refusal = too_long()
  if refusal then return refusal end
  local low, high, count = node.from or 0, node.to or call('ZCARD', key), tonumber(ARGV[9])
  if node == NONE then high = 0 end
  local desc, scores, first = ARGV[6] == 'desc', ARGV[10] == 'scores', nil
  if mark ~= '' and desc then high = math.min(high, rank(key, mark, ARGV[8])) end
  if mark ~= '' and not desc then low = math.max(low, rank(key, mark, ARGV[8] .. '\0')) end
  -- In descending order, ranks count from the other end.
  if desc then first = call('ZCARD', key) - high else first = low end
  count = math.min(count, high - low)
  if count <= 0 then return { '', '', -1, 0, took(), cmsgpack.pack({}) } end
  local asked = { 'ZRANGE', key, first, first + count - 1 }
  if desc then asked[5] = 'REV' end
  if scores then asked[#asked + 1] = 'WITHSCORES' end
  local list = call(unpack(asked))
  local last = list[scores and #list - 1 or #list]
  local score = scores and list[#list] or call('ZSCORE', key, last)
  return { score, last, first + count - 1, high - low - count, took(), cmsgpack.pack(list) }
end

return leave_nothing(run)
