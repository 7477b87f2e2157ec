-- scan.lua: what row_scan.lua and ordered_scan.lua share. A library of scripts that answer queries;
-- it comes after tester.lua. KEYS, ARGV and Returns are those of the script that includes it.
--
-- A scan calls a function `visit` for the rows one after the other, until it answers true or the
-- time is spent. It returns true if it ended so, before its end, with where in `position`: rows up
-- to there have been looked at.
--
-- Exports   looked                       rows looked at one by one
--           position                     where a scan ended: a word and up to two marks: row row |
--                                        null row (among the nulls) | value score member. Without
--                                        marks, before all of them
--           stop(word, first, second)    sets it, and returns true
--           estimate(filter)             how many rows a filter without wide ranges has, from two
--                                        segments
--           TOP_K                        rows that are read and sorted at most, in all of the time

local TOP_K = math.min(budget * 0.4, 4000)

local looked = 0

local position = { '', '', '' }
local function stop(word, first, second)
  position = { word, first, second or '' }
  return true
end

local function estimate(filter)
  if filter == ALL then return total end
  local middle, sum, sampled = floor(segments / 2), 0, 0
  for segment = middle, 0, -math.max(1, math.ceil(middle / 2)) do
    sum, sampled = sum + size(evaluate(filter, segment)), sampled + math.min(SEGMENT, handed - segment * SEGMENT)
    release()
    if segment < middle then break end
  end
  return sum * handed / sampled
end
