-- cost.lua: which way an order is best gone. It is included in the place of a line that names it;
-- KEYS, ARGV and Returns are those of the script that includes it, and these locals of it:
--
-- matches     estimated number of rows that match
-- horizon     number of them that are wanted in all, from the beginning
-- total, segments, budget: records and segments there are; microseconds for the call
-- evaluating  microseconds that it takes to evaluate the filter in all segments
-- values      number of values of a column of few, or false
-- best        set here: scan (the order, and test each row), top-k (read what matches, and sort
--             it), or estimate: the client reads what matches as bitmaps and goes on, for whom a
--             row costs less than here
local share = math.min(1, horizon / math.max(matches, 1))
local passed = total * share
local scanning = ROW_PASSED * passed + math.min(evaluating, RECORD_READ * passed)
if values then scanning = math.min(segments, passed) * (VALUE_SEGMENT + VALUE_CONTAINER * math.ceil(values * share)) end
local sorting = RECORD_READ * matches + evaluating
local best = 'scan'
if sorting < scanning and matches <= TOP_K and sorting <= budget * 1.2 then
  best = 'top-k'
elseif scanning > math.max(2 * budget, evaluating) and (not values or sorting < scanning) then
  best = 'estimate'
end
