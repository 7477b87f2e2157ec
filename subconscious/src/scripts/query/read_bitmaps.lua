-- read_bitmaps.lua: reads the rows that match, segment by segment. It is included in the place of a
-- line that names it; KEYS, ARGV and Returns are those of the script that includes it, and these
-- locals of it:
--
-- filter, residual    what `split` made of the filter
-- first, last, step   the segments
-- reply               set here to { next segment, or -1 if there is none, records there are, 1 or
--                     0: whether all of these rows match, or their records have to be looked at,
--                     microseconds, then for every segment with rows: segment, and its bitmap or a
--                     list of offsets }
local reply = { -1, total, residual and 0 or 1, 0 }
for segment = first, last, step do
  local set = evaluate(filter, segment)
  if type(set) == 'string' then set = call('BITPOS', set, 1) >= 0 and call('GET', set) end
  if set then
    reply[#reply + 1] = segment
    reply[#reply + 1] = set
  end
  release()
  if segment ~= last and spent(BITMAP_READ) then
    reply[1] = segment + step
    break
  end
end
