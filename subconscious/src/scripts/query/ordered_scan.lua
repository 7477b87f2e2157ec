-- ordered_scan.lua: visits the rows that match a filter in the order of a column. A library for
-- queries. Other scripts include this file after scan.lua. KEYS, ARGV and Returns are those of the
-- including script.
--
-- Exports   ordered_scan(key, low, high, filter, residual, descending, chunk, visit, outlook,
--           probing)   see scan.lua

-- Scans a sorted set from rank `low` to the rank before `high`. The first chunk has `chunk` rows.
-- The function `outlook`, if given, estimates after n rows how many microseconds are left. If few
-- are left, the call may take half as long again as other calls. If many are left and the call is
-- only `probing`, it ends and returns nil.
local function ordered_scan(key, low, high, filter, residual, descending, chunk, visit, outlook, probing)
  -- Estimates how many rows of each segment this call reads, if it reads `rows` in all, spread
  -- evenly. The number is small if evaluating all segments would take most of the budget.
  local function each(rows) return math.min(rows, high - low, budget / 6) / segments end
  expect_rows(each(outlook and chunk or budget))
  -- Each row is looked up in the sets of the rarest part here. Calling a function for it would take
  -- as long as the look-up.
  local lead, parts = nil, ranked(filter)
  if parts[1][1] == 'equals' or is_evaluated(parts[1]) and not is_read(parts[1]) then
    lead = table.remove(parts, 1)
    lead.sets = lead.sets or {}
  end
  local others, exact = join('and', parts), residual and tester(residual)
  others.ranked = true
  local passes, bitmaps, lists, n, kept, soon = others ~= ALL and tester(others), {}, {}, 0, in_use(), false
  local whole = {}
  -- In an order of times, many rows are neighbours. So if a row is among the same 256 rows as the
  -- row before it, the bits of all of these are read at once: `bytes`, of the rows from `block`.
  local block, bytes, masks = nil, nil, { [0] = 128, 64, 32, 16, 8, 4, 2, 1 }
  while low < high do
    local list
    if n > 0 then
      local rows = math.min(high - low, outlook and outlook(n) or budget, budget)
      expect_rows(each(rows))
      -- If many rows of each segment are still to be looked up, bitmaps are read whole. For few
      -- rows, calling a function takes as long as a look-up.
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
          local within = row % 256
          if row - within == block then
            if not bytes then
              local first = (offset - within) / 8
              bytes = call('GETRANGE', key, text('%d', first), text('%d', first + 31))
            end
            local bit = within % 8
            local value, mask = byte(bytes, (within - bit) / 8 + 1), masks[bit]
            found = value and value % (2 * mask) >= mask
          else
            block, bytes, name = row - within, nil, text('%d', offset)
            found = call('GETBIT', key, name) == 1
          end
        else
          found = lists[segment][offset]
        end
      end
      n = n + 1
      found = found and (not passes or passes(segment, offset, name)) and (not exact or exact(segment, offset))
      -- A score is read only if it is needed: reading one as text takes as long as reading ten
      -- members.
      local ends, given_up = found and visit(row, 'value', key, list[i]), nil
      if not ends and n % 64 == 0 then
        soon = outlook and outlook(n) <= budget / 2
        given_up = probing and not soon
        ends = given_up or spent(64 * ROW_PASSED, soon and 1.5)
      elseif not ends and in_use() > kept then
        -- If the row is the first of its segment, evaluating its sets may have been much work.
        kept = in_use()
        ends = spent(0, soon and 1.5)
      end
      if ends then
        looked = looked + n
        stop('value', call('ZSCORE', key, list[i]), list[i])
        return not given_up or nil
      end
    end
    -- A row takes about a microsecond, so `outlook` also estimates the number of rows.
    chunk = outlook and math.ceil(math.min(math.max(outlook(n), 16), 200)) or 200
  end
  looked = looked + n
  return false
end
