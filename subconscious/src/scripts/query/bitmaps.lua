-- bitmaps.lua: reads the rows that match a filter, as bitmaps.
--
-- KEYS[1]   the key t:0 of the model, which never exists. The server demands a right to write for
--           the key that a script is given (see docs/src/rights.md)
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   registration of the program: see ready.lua
-- ARGV[3]   the budget in microseconds: see budget.lua
-- ARGV[4]   width in bytes of an entry of the row directory; 0 if the directory is made of hashes
-- ARGV[5]   segment to begin with; "" for the first segment in this order
-- ARGV[6]   asc or desc, the order of the segments; only, for no other segment
-- then      the filter (see nodes.lua)
--
-- Returns   the list that read_bitmaps.lua describes
--           or nil, then a reason and its details (see ready.lua)

-- include query/begin.lua
-- include query/filter.lua

local function run()
  local refusal = not_ready()
  if refusal then return refusal end
  local node = parse_filter(7)
  refusal = too_long()
  if refusal then return refusal end
  local filter, residual = split(node)
  local first, last, step = 0, segments - 1, 1
  if ARGV[6] == 'desc' then first, last, step = segments - 1, 0, -1 end
  if ARGV[5] ~= '' then first = tonumber(ARGV[5]) end
  if ARGV[6] == 'only' then last = first end
  -- include query/read_bitmaps.lua
  reply[4] = took()
  return reply
end

return leave_nothing(run)
