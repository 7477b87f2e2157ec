-- count.lua: counts the rows that match a filter. Includes rows.lua, filter.lua, walk.lua and ready.lua.
--
-- KEYS[1]   the key t:0 of the model, which is never there: the server wants a right to write for what it is told (see docs/src/rights.md)
-- ARGV[1]   what comes before every key of the model
-- ARGV[2]   registration of the program, see ready.lua
-- ARGV[3]   microseconds after which the call ends where it is, see filter.lua
-- ARGV[4]   width of an entry of the row directory, 0 where it is made of hashes
-- ARGV[5]   where the last call ended: a code and two marks (see walk.lua), "" for the first call
-- ARGV[6], ARGV[7]
-- ARGV[8]   the first word of the filter (see filter.lua), whose other words follow
--
-- Returns   { count, 1 or 0: whether there is more to count, code, mark, mark, microseconds, rows looked at }, or with 2 instead of 1 and a column:
--           nothing was counted, as the client does it better along the column's range
--           or nil, what is wrong, .. (see ready.lua)
at = 8

local function run()
  -- include ready.lua
  local n, more = 0, false
  local node = parse()
  if unbuilt then return refuse('building', unbuilt) end
  local code, first, second = ARGV[5], ARGV[6], ARGV[7]
  local function visit()
    n = n + 1
    return false
  end
  if node == ALL then
    n = total
  elseif node[1] == 'z' and code == '' then
    n = node.to - node.from
  elseif node ~= NONE then
    -- A range that is narrower than the rows to be tested for it is walked, and its rows are tested for the rest.
    local walked, others, range = string.match(code, '^k(.+)$'), {}, nil
    for _, part in ipairs(parts_of('&', node)) do
      local better = not range or part.to and part.to - part.from < range.to - range.from
      if part[1] == 'z' and (walked and part[2] == walked or code == '' and better) then
        range, part = part, range
      end
      others[#others + 1] = part
    end
    local cheap, rest
    if range then cheap, rest = split(settle(join('&', others))) end
    if code == '' and range and range.to - range.from > LISTED and (range.to - range.from) * 0.5 < estimate(cheap) * 2.5 then
      code = 'k' .. range[2]
    end
    if sub(code, 1, 1) == 'k' then
      -- Without a range any more, nothing matches any more.
      if range and not rest and ARGV[8] == '&' then
        -- The client has the bitmaps of the rest, and goes along the range with less effort. A range that is one only here, as all other
        -- parts of an OR are empty, it does not know.
        return { 0, 2, '', '', '', took(), 0, range[2] }
      elseif range then
        local low = first == '' and range.from or math.max(range.from, rank(range.key, first, second .. '\0'))
        more = walk(range.key, low, range.to, cheap, rest, false, 200, visit)
        position[1] = code
      end
    else
      cheap, rest = split(settle(node))
      more = scan(cheap, rest, tonumber(first), false, 'r', visit, function(segment, set, within)
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
  return { n, more and 1 or 0, position[1], position[2], position[3], took(), looked }
end

return leave_nothing(run)
