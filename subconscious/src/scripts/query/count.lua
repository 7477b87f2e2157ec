-- count.lua: counts the rows that match a filter.
--
-- KEYS[1]   the key t:0 of the model, which is never there: the server wants a right to write for
--           what it is told (see docs/src/rights.md)
-- ARGV[1]   what comes before every key of the model
-- ARGV[2]   registration of the program: see ready.lua
-- ARGV[3]   microseconds after which the call ends where it is: see budget.lua
-- ARGV[4]   width of an entry of the row directory, 0 where it is made of hashes
-- ARGV[5]   where the last call ended: a word and two marks (see scan.lua), "" for the first call
-- ARGV[6], ARGV[7]
-- ARGV[8]   the column whose range that call went along, or ""
-- ARGV[9]   the first word of the filter (see nodes.lua), whose other words follow
--
-- Returns   { done, count }, { more, count, word, mark, mark, column }: there is more to count, or
--           { along, 0, column }: nothing was counted, as the client does it better along the
--           column's range
--           or nil, what is wrong, .. (see ready.lua)

-- include query/filter.lua
-- include query/offsets.lua
-- include query/scan.lua
-- include query/row_scan.lua
-- include query/ordered_scan.lua

local function run()
  local refusal = not_ready()
  if refusal then return refusal end
  local n, more, node = 0, false, parse_filter(9)
  local unbuilt = needs_unbuilt()
  if unbuilt then return refuse('building', unbuilt) end
  local word, first, second, walked = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
  local function visit()
    n = n + 1
    return false
  end
  if node == ALL then
    n = total
  elseif node[1] == 'range' and word == '' then
    n = node.to - node.from
  elseif node ~= NONE then
    -- A range that is narrower than the rows to be tested for it is walked, and its rows are tested
    -- for the rest.
    local others, range = {}, nil
    for _, part in ipairs(parts_of('and', node)) do
      local better = not range or part.to and part.to - part.from < range.to - range.from
      if part[1] == 'range' and (word == 'value' and part[2] == walked or word == '' and better) then
        range, part = part, range
      end
      others[#others + 1] = part
    end
    local filter, residual
    if range then filter, residual = split(join('and', others)) end
    if word == '' and range and range.to - range.from > LISTED and (range.to - range.from) * ROW_PASSED < estimate(filter) * RECORD_READ * 2 then
      word, walked = 'value', range[2]
    end
    if word == 'value' then
      -- Without a range any more, nothing matches any more.
      if range and not residual and ARGV[9] == 'and' then
        -- The client has the bitmaps of the rest, and goes along the range with less effort. A
        -- range that is one only here, as all other parts of an OR are empty, it does not know.
        return { 'along', 0, range[2] }
      elseif range then
        local low = first == '' and range.from or math.max(range.from, rank(range.key, first, second .. '\0'))
        more = ordered_scan(range.key, low, range.to, filter, residual, false, 200, visit)
      end
    else
      filter, residual = split(node)
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
