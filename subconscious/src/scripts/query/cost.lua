-- cost.lua: chooses the cheapest way to read an order. Other scripts include this file. KEYS, ARGV
-- and Returns are those of the including script. This file uses these locals of that script:
--
-- matches     estimated number of rows that match
-- passes      estimated share of the rows that match the residual filter, among those that match
--             the rest
-- residual    the residual filter, by which rows are tested by their records, or nil
-- horizon     number of matching rows that are wanted in all, from the beginning of the order
-- total, segments, budget: number of records; number of segments; the budget in microseconds
-- evaluating  microseconds to evaluate the filter in all segments
-- values      number of values if the column has few values, else false
-- best        set here: scan (read the order and test each row), top-k, or estimate (the client
--             reads bitmaps of the rows that match and continues, as a row costs it less than it
--             costs a script)
local share = math.min(1, horizon / math.max(matches, 1))
local passed = total * share
local scanning = ROW_PASSED * passed + math.min(evaluating, RECORD_READ * passed)
if values then scanning = math.min(segments, passed) * (VALUE_SEGMENT + VALUE_CONTAINER * math.ceil(values * share)) end
local sorting = RECORD_READ * matches + evaluating
if residual then
  scanning = scanning + RECORD_READ * passed
  sorting = sorting + RECORD_READ * matches / passes
end
local best = 'scan'
if sorting < scanning and matches <= TOP_K and sorting <= budget * 1.2 then
  best = 'top-k'
elseif scanning > math.max(2 * budget, evaluating) and (not values or sorting < scanning) then
  best = 'estimate'
end
