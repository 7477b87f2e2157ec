-- cost.lua: which way an order is best gone. It is included in the place of a line that names it; KEYS, ARGV and Returns are those of the
-- script that includes it, and these locals of it:
--
-- matches     estimated number of rows that match
-- horizon     number of them that are wanted in all, from the beginning
-- total, segments, budget: records and segments there are; microseconds for the call
-- evaluating  microseconds that it takes to evaluate the filter in all segments
-- values      number of values of a column of few, or false
-- best        set here: walk (the order, and look which rows match), gather (what matches, and sort it), or many: what matches is to be read as
--             bitmaps, and the rest done by the client, for whom a row costs less than here
--
-- The figures are microseconds, measured with one and ten million records: a row that is walked past takes 1.2, a row whose record is read or that is
-- gathered 3, a segment whose filter is evaluated 30 and 5 to 10 for each container, and one where a value meets the filter 15.
local share = math.min(1, horizon / math.max(matches, 1))
local passed = total * share
local walking = 1.2 * passed + math.min(evaluating, 3 * passed)
if values then walking = math.min(segments, passed) * (50 + 15 * math.ceil(values * share)) end
local gathering = 3 * matches + evaluating
local best = 'walk'
if gathering < walking and matches <= GATHER and gathering <= budget * 1.2 then
  best = 'gather'
elseif walking > math.max(2 * budget, evaluating) and (not values or gathering < walking) then
  best = 'many'
end
