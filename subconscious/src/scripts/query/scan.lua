-- scan.lua: what row_scan.lua and ordered_scan.lua share. A library for queries. Other
-- scripts include this file after tester.lua. KEYS, ARGV and Returns are those of the including
-- script.
--
-- A scan calls the function `visit` for one row after the other, until `visit` returns true or the
-- budget is spent. If a scan ends so, before its end, it returns true and sets `position`: all rows
-- up to there have been looked at.
--
-- Exports   looked                       number of rows looked at one by one
--           position                     where a scan ended: a word and up to two marks: row row |
--                                        null row (a row among the nulls) | value score member. A
--                                        word without marks is before all of its rows
--           stop(word, first, second)    sets the position, and returns true
--           TOP_K                        greatest number of rows that are read and sorted, which
--                                        take the whole budget

local TOP_K = math.min(budget * 0.4, 4000)

local looked = 0

local position = { '', '', '' }
local function stop(word, first, second)
  position = { word, first, second or '' }
  return true
end
