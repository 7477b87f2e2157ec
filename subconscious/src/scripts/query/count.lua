-- count.lua: counts the rows that match a filter.
--
-- KEYS[1]   the key t:0 of the model, which never exists. The server demands a right to write for
--           the key that a script is given (see docs/src/rights.md)
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   registration of the program: see ready.lua
-- ARGV[3]   the budget in microseconds: see budget.lua
-- ARGV[4]   width in bytes of an entry of the row directory; 0 if the directory is made of hashes
-- ARGV[5]   position where the last call ended (see scan.lua): its word; "" for the first call; or
--           part, if zones are used, and the segment to go on with is the first mark
-- ARGV[6], ARGV[7]: its two marks
-- ARGV[8]   the column whose range the last call scanned, or ""
-- ARGV[9]   the first word of the filter (see nodes.lua); its other words follow
--
-- Returns   { done, count }
--           or { more, count, word, mark, mark, column }: there is more to count; the position and
--           the column are as in ARGV[5] to ARGV[8]
--           or { parts, count, segment to go on with or -1, columns, pieces }: rows that zones
--           decide were counted; the client counts the rows of the pieces (see parts.lua) that are
--           in its ranges of these columns
--           or { along, 0, column }: nothing was counted, as the client scans the column's range at
--           less cost
--           or nil, then a reason and its details (see ready.lua)

-- include query/begin.lua
-- include query/filter.lua
-- include query/offsets.lua
-- include query/share.lua
-- include query/scan.lua
-- include query/row_scan.lua
-- include query/ordered_scan.lua
-- include query/parts.lua

local function run()
  local refusal = not_ready()
  if refusal then return refusal end
  local n, more, node = 0, false, parse_filter(9)
  refusal = too_long()
  if refusal then return refusal end
  local word, first, second, walked = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
  local function visit()
    n = n + 1
    return false
  end
  local rows = word == '' and node[1] ~= 'range' and led(node)
  if node == ALL then
    n = total
  elseif rows and rows ~= NONE or node[1] == 'range' and word == '' then
    n = (rows or node).size
  elseif node ~= NONE and not rows then
    local filter, residual
    if word ~= 'value' then filter, residual = split(node) end
    if word == '' or word == 'part' then
      local ranges = residual and ranges_of(residual)
      if word == 'part' and not residual or ranges and (word == 'part' or are_parts_cheaper(ranges)) then
        local found, next, pieces = count_parts(filter, ranges or {}, tonumber(first) or 0)
        local columns = {}
        for i, range in ipairs(ranges or {}) do columns[i] = range[2] end
        return { 'parts', found, next, columns, pieces }
      end
      -- The filter has changed since the call before, as values were divided or united.
      if word == 'part' then word, first = 'row', first * SEGMENT - 1 end
    end
    -- A range may have fewer rows than match the rest of the filter. Then the range is scanned, and
    -- each of its rows is tested by the rest. Not a range that is ANDed only because the other
    -- parts of an OR have no rows: they may have some in the next call.
    local others, range = {}, nil
    for _, part in ipairs(parts_of('and', node)) do
      local better = part[1] == 'range' and (not range or part.size < range.size)
      if part[1] == 'range' and not part.nested and (word == 'value' and part[2] == walked or word == '' and better) then
        range, part = part, range
      end
      others[#others + 1] = part
    end
    local rest, untested
    if range then rest, untested = split(join('and', others)) end
    if word == '' and range and range.size > LISTED and range.size * ROW_PASSED < estimate(rest) * RECORD_READ * 2 then
      word, walked = 'value', range[2]
    end
    if word == 'value' then
      if not untested then
        -- The client reads bitmaps of the rest and scans the range at less cost.
        return { 'along', 0, range[2] }
      end
      local low = first == '' and range.from or math.max(range.from, rank(range.key, first, second .. '\0'))
      more = ordered_scan(range.key, low, range.to, rest, untested, false, 200, visit)
    else
      walked = ''
      more = row_scan(filter, residual, tonumber(first), false, 'row', visit, function(_, set, within)
        if not within then
          n = n + size(set)
        elseif type(set) == 'string' then
          n = n + call('BITCOUNT', set, within + 1, -1, 'BIT')
        else
          n = n + #offsets(set, within, 0, SEGMENT, false)
        end
      end)
    end
  end
  if not more then return { 'done', n } end
  return { 'more', n, position[1], position[2], position[3], walked }
end

return leave_nothing(run)
