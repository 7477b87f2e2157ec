-- read_bitmaps.lua: reads the rows that match, segment by segment. Other scripts include this file.
-- KEYS, ARGV and Returns are those of the including script. This file uses these locals of that
-- script:
--
-- filter, residual    the two nodes that `split` made of the filter
-- first, last, step   the segments to read
-- reply               set here to { next segment (-1 if there is none), number of records, 1 if all
--                     of these rows match, or 0 if their records have to be tested, microseconds,
--                     then for every segment with rows: the segment, and its bitmap or a list of
--                     offsets }
local reply = { -1, total, residual and 0 or 1, 0 }
local lists = filter[1] == 'rows' and lists_of(filter)
for segment = first, last, step do
  local set
  if lists then set = lists[segment] else set = evaluate(filter, segment) end
  if type(set) == 'string' then set = call('BITPOS', set, 1) >= 0 and call('GET', set) end
  if set then
    reply[#reply + 1] = segment
    reply[#reply + 1] = set
  end
  release()
  if segment ~= last and (set or not lists) and spent(BITMAP_READ) then
    reply[1] = segment + step
    break
  end
end
