-- estimate.lua: estimates how many rows match a filter, as query.lua does before it chooses a way.
--
-- KEYS[1]   the key t:0 of the model, which never exists. The server demands a right to write for
--           the key that a script is given (see docs/src/rights.md)
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   registration of the program: see ready.lua
-- ARGV[3]   the budget in microseconds: see budget.lua
-- ARGV[4]   width in bytes of an entry of the row directory; 0 if the directory is made of hashes
-- then      the filter (see nodes.lua)
--
-- Returns   { estimated number of rows }
--           or nil, then a reason and its details (see ready.lua)

-- include query/begin.lua
-- include query/filter.lua
-- include query/share.lua

local function run()
  local refusal = not_ready()
  if refusal then return refusal end
  local node = parse_filter(5)
  refusal = too_long()
  if refusal then return refusal end
  if node[1] == 'range' then return { node.size } end
  local filter, residual = split(node)
  if filter == NONE then return { 0 } end
  return { math.ceil(estimate(filter) * (residual and share(residual) or 1)) }
end

return leave_nothing(run)
