-- walk.lua: goes through the rows that match a filter, in row order or in that of a column. It comes after filter.lua and before the
-- text of each script that says so. KEYS, ARGV and Returns are those of that script.
--
-- Each way calls a function `visit` for the rows one after the other, until it answers true or the time is spent. It returns true if it
-- ended so, before its end, with where in `position`: rows up to there have been looked at.

-- Rows that are gathered and sorted at most, in all of the time, rather than found by walking the order.
local GATHER = math.min(budget * 0.4, 4000)

-- Rows looked at one by one.
local looked = 0

-- A word and up to two marks: row row | null row (among the nulls) | value score member. Without marks, before all of them.
local position = { '', '', '' }
local function stop(code, first, second)
  position = { code, first, second or '' }
  return true
end

-- Offsets of a set in ascending or descending order, at most `wanted`, after `skip` of them; only those beyond `from`.
local function offsets(set, from, skip, wanted, backwards)
  local found = {}
  if type(set) == 'table' then
    table.sort(set, function(x, y) if backwards then return x > y end return x < y end)
    for _, offset in ipairs(set) do
      local beyond = not from or (backwards and offset < from) or (not backwards and offset > from)
      if beyond and skip > 0 then
        skip = skip - 1
      elseif beyond then
        found[#found + 1] = offset
        if #found == wanted then break end
      end
    end
    return found
  end
  local length = call('STRLEN', set)
  local first, last = 0, length - 1
  if from and backwards then last = math.min(last, floor(from / 8)) end
  if from and not backwards then first = floor(from / 8) end
  -- Halves the bytes to look at until the first one wanted is at the edge.
  local function before(offset) return backwards and offset >= from or not backwards and offset <= from end
  if from and first <= last then
    local edge = backwards and last or first
    for _, offset in ipairs(bits(call('GETRANGE', set, edge, edge))) do
      if before(edge * 8 + offset) then skip = skip + 1 end
    end
  end
  if skip > 0 then
    local low, high = first, last + 1
    while low < high do
      local middle = floor((low + high) / 2)
      local passed
      if backwards then
        passed = call('BITCOUNT', set, last - (middle - first), last)
      else
        passed = call('BITCOUNT', set, first, middle)
      end
      if passed <= skip then low = middle + 1 else high = middle end
    end
    -- `low` bytes from the edge hold no wanted row.
    local step = low - first
    if step > 0 then
      if backwards then
        skip = skip - call('BITCOUNT', set, last - step + 1, last)
        last = last - step
      else
        skip = skip - call('BITCOUNT', set, first, first + step - 1)
        first = first + step
      end
    end
  end
  -- As many bytes as a full bitmap has those rows in, then more at a time.
  local bytes = math.min(math.ceil((skip + wanted) / 8), 64)
  while first <= last and #found < wanted do
    local from_byte, to_byte
    if backwards then
      from_byte, to_byte = math.max(first, last - bytes + 1), last
      last = from_byte - 1
    else
      local hit = call('BITPOS', set, 1, first)
      if hit < 0 then break end
      from_byte = floor(hit / 8)
      to_byte = math.min(last, from_byte + bytes - 1)
      first = to_byte + 1
    end
    bytes = math.min(4 * bytes, 64)
    local list = bits(call('GETRANGE', set, from_byte, to_byte))
    local start, stop, step = 1, #list, 1
    if backwards then start, stop, step = #list, 1, -1 end
    for i = start, stop, step do
      if skip > 0 then
        skip = skip - 1
      else
        found[#found + 1] = from_byte * 8 + list[i]
        if #found == wanted then break end
      end
    end
  end
  return found
end

-- The number of rows that a node without wide ranges has, estimated from two segments.
local function estimate(node)
  if node == ALL then return total end
  local middle, sum, sampled = floor(segments / 2), 0, 0
  for segment = middle, 0, -math.max(1, math.ceil(middle / 2)) do
    sum, sampled = sum + size(evaluate(node, segment)), sampled + math.min(SEGMENT, handed - segment * SEGMENT)
    in_use = pinned
    if segment < middle then break end
  end
  return sum * handed / sampled
end

-- In row order, beyond the row `from` if there is one; the two nodes are what `split` made. Where no row has to be tested,
-- `visit_set` gets the set of each segment, and the offset beyond which it counts, instead.
local function scan(cheap, rest, from, backwards, code, visit, visit_set)
  local test = rest and tester(rest)
  local first, last, step = 0, segments - 1, 1
  if from then first = floor((from + 1) / SEGMENT) end
  if backwards then
    first, last, step = segments - 1, 0, -1
    if from then first = math.min(first, floor((from - 1) / SEGMENT)) end
  end
  for segment = first, last, step do
    local base, within = segment * SEGMENT, nil
    if from and from >= base and from < base + SEGMENT then within = from - base end
    local set = evaluate(cheap, segment)
    if set and not test then
      if visit_set(segment, set, within) then return true end
    elseif set then
      repeat
        local list = offsets(set, within, 0, 64, backwards)
        for i, offset in ipairs(list) do
          looked = looked + 1
          if test(segment, offset) and visit(base + offset) or i % 16 == 0 and spent(30) then
            return stop(code, base + offset)
          end
        end
        within = list[#list]
      until #list < 64
    end
    in_use = pinned
    if segment ~= last and spent(20) then return stop(code, backwards and base or base + SEGMENT - 1) end
  end
  return false
end

-- In the order of a sorted set, from rank `low` to before rank `high`, first in a chunk of so many rows. The function `outlook`, if there is one, says how
-- many microseconds are left to go after so many rows: if few, this takes half as long again as other calls; if many and this is but `probing`, it ends
-- and answers nil.
local function walk(key, low, high, cheap, rest, descending, chunk, visit, outlook, probing)
  -- How many rows of each segment this call comes to, of so many in all, as if they were spread evenly; where to evaluate all segments would take
  -- most of its time, few.
  local function each(rows) return math.min(rows, high - low, budget / 6) / segments end
  to_come = each(outlook and chunk or budget)
  -- The rarest part's sets are asked here for each row; a function for it would take as long as asking.
  local lead, parts = nil, ranked(cheap)
  if parts[1][1] == 'equals' or is_evaluated(parts[1]) and not is_read(parts[1]) then
    lead = table.remove(parts, 1)
    lead.sets = lead.sets or {}
  end
  local others, exact = join('and', parts), rest and tester(rest)
  others.ranked = true
  local passes, bitmaps, lists, n, kept, soon = others ~= ALL and tester(others), {}, {}, 0, pinned, false
  local whole = {}
  while low < high do
    local list
    if n > 0 then
      local rows = math.min(high - low, outlook and outlook(n) or budget, budget)
      to_come = math.max(to_come, each(rows))
      -- Where many rows of each segment are still to be asked for, bitmaps are read; until then, a function for it would take as long as asking.
      if rows > 100 * segments then
        for segment, key in pairs(bitmaps) do whole[segment] = whole[segment] or key and member_test(key, math.huge) end
      end
    end
    if descending then
      local first = math.max(low, high - chunk)
      list = call('ZRANGE', key, first, high - 1)
      high = first
    else
      list = call('ZRANGE', key, low, math.min(low + chunk, high) - 1)
      low = low + chunk
    end
    local start, last, step = 1, #list, 1
    if descending then start, last, step = #list, 1, -1 end
    for i = start, last, step do
      local a, b, c, d = byte(list[i], -4, -1)
      local row = ((a * 256 + b) * 256 + c) * 256 + d
      local offset = row % SEGMENT
      local segment, found, name = (row - offset) / SEGMENT, true, nil
      if lead then
        local key = bitmaps[segment]
        if key == nil then
          local set = evaluate(lead, segment)
          key = type(set) == 'string' and set
          bitmaps[segment], lists[segment] = key, not key and lookup(set or {})
        end
        if whole[segment] then
          found = whole[segment](offset)
        elseif key then
          name = text('%d', offset)
          found = call('GETBIT', key, name) == 1
        else
          found = lists[segment][offset]
        end
      end
      n = n + 1
      found = found and (not passes or passes(segment, offset, name)) and (not exact or exact(segment, offset))
      -- Scores are asked for where they are needed: to read one as text takes as long as ten members.
      local ends, given_up = found and visit(row, 'value', key, list[i]), nil
      if not ends and n % 64 == 0 then
        soon = outlook and outlook(n) <= budget / 2
        given_up = probing and not soon
        ends = given_up or spent(80, soon and 1.5)
      elseif not ends and pinned > kept then
        -- The sets of a segment that was not met before may have been much work.
        kept = pinned
        ends = spent(0, soon and 1.5)
      end
      if ends then
        looked = looked + n
        stop('value', call('ZSCORE', key, list[i]), list[i])
        return not given_up or nil
      end
    end
    -- A row takes about a microsecond.
    chunk = outlook and math.ceil(math.min(math.max(outlook(n), 16), 200)) or 200
  end
  looked = looked + n
  return false
end
