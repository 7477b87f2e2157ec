-- row_scan.lua: visits the rows that match a filter in row order. A library for queries. Other
-- scripts include this file after scan.lua. KEYS, ARGV and Returns are those of the including
-- script.
--
-- Exports   row_scan(filter, residual, from, backwards, word, visit, visit_set)   see scan.lua. The
--           positions have this word

-- Scans the rows beyond `from` if it is given, else all rows. If no row has to be tested, it does
-- not call `visit` but `visit_set`, with each segment, its set, and the offset beyond which rows
-- count.
local function row_scan(filter, residual, from, backwards, word, visit, visit_set)
  local test, lists = residual and tester(residual), filter[1] == 'rows' and lists_of(filter)
  local first, last, step = 0, segments - 1, 1
  if from then first = floor((from + 1) / SEGMENT) end
  if backwards then
    first, last, step = segments - 1, 0, -1
    if from then first = math.min(first, floor((from - 1) / SEGMENT)) end
  end
  for segment = first, last, step do
    local base, within = segment * SEGMENT, nil
    if from and from >= base and from < base + SEGMENT then within = from - base end
    local set
    if lists then set = lists[segment] else set = evaluate(filter, segment) end
    if set and not test then
      if visit_set(segment, set, within) then return true end
    elseif set then
      repeat
        local list = offsets(set, within, 0, 64, backwards)
        for i, offset in ipairs(list) do
          looked = looked + 1
          if test(segment, offset) and visit(base + offset) or i % 16 == 0 and spent(16 * ROW_TESTED) then
            return stop(word, base + offset)
          end
        end
        within = list[#list]
      until #list < 64
    end
    release()
    if segment ~= last and (set or not lists) and spent(SEGMENT_SCANNED) then return stop(word, backwards and base or base + SEGMENT - 1) end
  end
  return false
end
