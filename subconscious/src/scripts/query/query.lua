-- query.lua: reads a page of the rows that match a filter, in order.
--
-- KEYS[1]   the key t:0 of the model, which never exists. The server demands a right to write for
--           the key that a script is given (see docs/src/rights.md)
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   registration of the program: see ready.lua
-- ARGV[3]   the budget in microseconds: see budget.lua
-- ARGV[4]   width in bytes of an entry of the row directory; 0 if the directory is made of hashes
-- ARGV[5]   ids (a page without records) or page
-- ARGV[6]   greatest number of rows
-- ARGV[7]   number of matching rows to skip first
-- ARGV[8]   number of matching rows that will be wanted in all, including the skipped rows
-- ARGV[9]   column to order by; "" for row order
-- ARGV[10]  asc or desc
-- ARGV[11]  first or last: where nulls are; never if the column has none
-- ARGV[12]  the column's index spec (see index.lua)
-- ARGV[13]  choose: choose the way; scan: scan the order, whatever it costs
-- ARGV[14]  position where the last call ended (see scan.lua): its word; "" for the first call
-- ARGV[15], ARGV[16]: its two marks. In the order of a column of few values they are the ordinal,
--           and the row as in a member of a sorted set
-- ARGV[17]  f, the number of fields to read of each row besides its number
-- then      f names of fields
--           the filter (see nodes.lua)
--
-- Returns   { head, bitmaps, rows }
--           head      packed { 1 if there may be more rows, else 0; word, mark, mark of the
--                     position at the end; number of matching rows still to skip; word, mark, mark
--                     of the position of the first row; microseconds of the call; rows looked at;
--                     the way: row scan, ordered scan, values, top-k, or estimate (the client
--                     continues, as there are many rows to sort); estimated number of matching
--                     rows, or -1; estimated microseconds to evaluate the filter in all segments;
--                     microseconds until the clock was last read; number of rows handed out; why
--                     the way was chosen, if the client asked how long the call took, else "" }
--           bitmaps   of an estimate: the list of read_bitmaps.lua, for the filter without a range
--                     of the order's column; {} for a column of few values, if zones may have the
--                     first rows of the order, and for other ways
--           rows      of each row: the row, its id, and, unless ids were asked for, { row, the f
--                     fields }, or {} if the record is gone. The list is packed if the rows are
--                     short
--           (packed: by cmsgpack, see reply::unpacked)
--           or nil, then a reason and its details (see ready.lua)

-- include query/begin.lua
-- include query/scan.lua
-- include query/deliver.lua
local refusal = not_ready()
-- include query/one_value.lua
-- include query/filter.lua
-- include query/offsets.lua
-- include query/share.lua
-- include query/row_scan.lua
-- include query/ordered_scan.lua

-- Delivers rows in row order. `marks`, if given, makes a row's word and marks; else the row is the
-- mark.
local function deliver_rows(filter, residual, from, backwards, code, marks)
  local function visit(row)
    if marks then return deliver(row, marks(row)) end
    return deliver(row, code, row)
  end
  return row_scan(filter, residual, from, backwards, code, visit, function(segment, set, within)
    if skip > 0 and not within then
      local n = size(set)
      if n <= skip then
        skip = skip - n
        return false
      end
    end
    local list = offsets(set, within, skip, wanted - found, backwards)
    if #list > 0 then skip = 0 elseif skip > 0 then skip = skip - #offsets(set, within, 0, skip, backwards) end
    for i, offset in ipairs(list) do
      local row = segment * SEGMENT + offset
      if visit(row) or i % 16 == 0 and spent(0) then return stop(code, row) end
    end
    return false
  end)
end

local function before(x, y)
  if descending then x, y = y, x end
  return earlier(x[1], x[2], y)
end

-- The wanted rows that match and are beyond the edge, sorted, with their places in the order; nil
-- if too many rows match. Gathered rows are of no use until all are gathered, so this call may take
-- half as long again as other calls.
local function top_k(filter, residual, range, ordinals, edge)
  local kind, test, most = byte(ARGV[12], 2), residual and tester(residual), skip + wanted
  local known = filter[1] == 'rows' and not test
  local gathered = known and rows_of(filter) or {}
  if known then
    looked = looked + #gathered
    if looked > TOP_K then return nil end
  end
  for segment = known and segments or 0, segments - 1 do
    local set = evaluate(filter, segment)
    local list = set or {}
    if type(set) == 'string' then list = offsets(set, nil, 0, TOP_K + 1, false) end
    if test then
      local kept = {}
      for i, offset in ipairs(list) do
        if test(segment, offset) then kept[#kept + 1] = offset end
        if i % 16 == 0 and spent(16 * RECORD_READ, 1.5) then return nil end
      end
      list = kept
    end
    looked = looked + #list
    if looked > TOP_K then return nil end
    for _, offset in ipairs(list) do gathered[#gathered + 1] = segment * SEGMENT + offset end
    release()
    if segment ~= segments - 1 and spent(SEGMENT_SCANNED, 1.5) then return nil end
  end
  local members, scores = {}, {}
  for i, row in ipairs(gathered) do members[i] = struct.pack('>I4', row) end
  -- Most members are the row alone. Others begin with the tail of the sort key.
  if not ordinals and #members > 0 then scores = call('ZMSCORE', p .. KEY_SORTED .. order, unpack(members)) end
  -- The scores as numbers, and where each is in `gathered`: sorting numbers takes a tenth of the
  -- time of sorting by a function that compares.
  local numbers, at = {}, {}
  local function place(i) return { tonumber(scores[i]), members[i], gathered[i], scores[i] } end
  for i, row in ipairs(gathered) do
    if ordinals then
      local id = id_in(entry_of(row))
      scores[i] = ordinals[id and call('HGET', p .. KEY_RECORD .. id, order) or false]
    elseif not scores[i] then
      scores[i], members[i] = place_of(row, order, kind)
    end
    local number = tonumber(scores[i] or nil)
    if number and range then
      local member = members[i]
      if range.low and earlier(number, member, range.low) or range.high and not earlier(number, member, range.high) then number = nil end
    end
    if number and edge and not before(edge, place(i)) then number = nil end
    local other = number and at[number]
    if type(other) == 'table' then
      other[#other + 1] = i
    elseif other then
      at[number] = { other, i }
    elseif number then
      numbers[#numbers + 1], at[number] = number, i
    end
    if i % 16 == 0 and spent(16 * ROW_TESTED, 1.5) then return nil end
  end
  table.sort(numbers)
  local sorted, start, stop, step = {}, 1, #numbers, 1
  if descending then start, stop, step = #numbers, 1, -1 end
  for i = start, stop, step do
    local same = at[numbers[i]]
    if type(same) == 'table' then
      for n, other in ipairs(same) do same[n] = place(other) end
      table.sort(same, before)
      for _, each in ipairs(same) do sorted[#sorted + 1] = each end
    else
      sorted[#sorted + 1] = place(same)
    end
    if #sorted >= most then break end
  end
  return sorted
end

-- Delivers the rows of a sorted set that match the filter, in its order. With `probing`, it ends
-- early unless it is likely to be done soon.
local function deliver_sorted(filter, residual, range, mark, other, probing)
  taken = 'ordered scan'
  local key = p .. KEY_SORTED .. order
  local low, high = 0, nil
  if range then low, high = range.from, range.to else high = call('ZCARD', key) end
  if mark ~= '' and descending then high = math.min(high, rank(key, mark, other)) end
  if mark ~= '' and not descending then low = math.max(low, rank(key, mark, other .. '\0')) end
  if filter == ALL and not residual then
    local passed = math.min(skip, math.max(high - low, 0))
    skip = skip - passed
    if descending then high = high - passed else low = low + passed end
  end
  local function visit(row, code, key, member)
    return deliver(row, code, found == 0 and skip == 0 and call('ZSCORE', key, member), member)
  end
  local missing = wanted - found + skip
  local function outlook(n)
    local left = wanted - found + skip
    return left < missing and 1.2 * n * left / (missing - left) or math.huge
  end
  -- As many rows as are likely to be enough; 250 if another call did not reach the end.
  local chunk = ARGV[13] == 'scan' and 250 or (wanted + skip) * (expected > 0 and 1.2 * total / expected or 1)
  return ordered_scan(key, low, high, filter, residual, descending, math.ceil(math.min(math.max(chunk, probing and 64 or 16), 250)), visit, outlook, probing)
end

-- Delivers rows in the order of a column of few values: one value's containers after the other.
local function deliver_values(filter, residual, range, mark, other)
  taken = 'values'
  local lowest, highest, list = range and range.from or '-inf', range and range.to or '+inf', nil
  -- A value without rows after the position is not read again.
  if descending then
    if mark ~= '' then highest = math.min(range and highest or math.huge, row_of(other) > 0 and mark or mark - 1) end
    list = call('ZRANGE', p .. KEY_VALUES .. order, highest, lowest, 'BYSCORE', 'REV', 'WITHSCORES')
  else
    if mark ~= '' then lowest = math.max(range and lowest or 0, row_of(other) < LAST_ROW and mark or mark + 1) end
    list = call('ZRANGE', p .. KEY_VALUES .. order, lowest, highest, 'BYSCORE', 'WITHSCORES')
  end
  local i = 1
  while i < #list do
    local ordinal, values = tonumber(list[i + 1]), { list[i] }
    -- The values that an enum does not know share one ordinal, and their rows are in row order.
    while i + 3 <= #list and tonumber(list[i + 3]) == ordinal do
      values[#values + 1] = list[i + 2]
      i = i + 2
    end
    local from = mark ~= '' and ordinal == tonumber(mark) and row_of(other) or nil
    local function marks(row) return 'value', ordinal, struct.pack('>I4', row) end
    local own = join('and', { one_of(order, values, true), filter })
    if deliver_rows(led(own) or own, residual, from, descending, 'value', marks) then
      return stop(marks(position[2]))
    end
    if i < #list - 1 and spent(CONTAINER) then return stop(marks(descending and 0 or LAST_ROW)) end
    i = i + 2
  end
  return false
end

-- Whether no part of a filter is known to be rare.
local function is_common(node)
  for _, part in ipairs(parts_of('and', node)) do
    if part[1] == 'equals' and call('EXISTS', part[2] .. decimal[floor(segments / 2)] .. part[4]) == 0 then return false end
    if part[1] == 'rows' or part[1] == 'range' and not part.wide then return false end
  end
  return true
end

-- Delivers the rows that are not null in the column to order by.
local function deliver_ordered(filter, residual, range, mark, other)
  if ARGV[13] == 'choose' and (residual or filter ~= ALL) then
    local horizon, passes = tonumber(ARGV[8]), residual and math.max(share(residual), 1e-9) or 1
    -- The records of all these rows would be read.
    local far = residual and horizon / passes * RECORD_READ > budget
    if index ~= INDEX_ORDINALS and not far and is_common(filter) then
      -- If enough rows match early in the order, no estimate is needed.
      local missing = wanted - found + skip
      local done = deliver_sorted(filter, residual, range, mark, other, true)
      if done ~= nil then
        expected = math.ceil(total * (missing - (wanted - found + skip)) / math.max(looked, 1))
        if timed then why = 'enough of the first rows of the order match' end
        return done
      end
      mark, other = position[2], position[3]
    end
    -- The sets that the estimate evaluates are used again.
    if filter ~= ALL and filter[1] ~= 'rows' then filter.sets = filter.sets or {} end
    local matches = estimate(filter) * passes
    expected = math.ceil(matches)
    local values = index == INDEX_ORDINALS and call('ZCARD', p .. KEY_VALUES .. order)
    -- include query/cost.lua
    if timed then why = text('a walk would take about %d us, gathering %d us', scanning, sorting) end
    if best == 'estimate' then
      taken = 'estimate'
      -- By the zones of the order, the client may need few of them: see exec/zones.rs.
      local parts = handed / PART
      local by_zones = share < 0.5 and byte(ARGV[12], 2) ~= KIND_BYTES and parts * share <= (residual and parts / 2 or PARTS_READ)
      if not values and not by_zones then
        local first, last, step = 0, segments - 1, 1
        -- include query/read_bitmaps.lua
        bitmaps = reply
      end
      return stop('value', mark, other)
    end
    if best == 'top-k' then
      local ordinals, edges = nil, range
      if values then
        ordinals = {}
        local list = call('ZRANGE', p .. KEY_VALUES .. order, range and range.from or '-inf', range and range.to or '+inf', 'BYSCORE', 'WITHSCORES')
        for i = 1, #list, 2 do ordinals[list[i]] = list[i + 1] end
        edges = nil
      end
      local places = top_k(filter, residual, edges, ordinals, mark ~= '' and { tonumber(mark), other })
      if places then
        taken = 'top-k'
        for i, each in ipairs(places) do
          if deliver(each[3], 'value', each[4], each[2]) or i % 16 == 0 and spent(0) then return stop('value', each[4], each[2]) end
        end
        return false
      end
    end
  end
  if index == INDEX_ORDINALS then return deliver_values(filter, residual, range, mark, other) end
  return deliver_sorted(filter, residual, range, mark, other)
end

local function containers(node)
  if node[1] == 'equals' then return 1 elseif node.values then return #node.values end
  local count = 0
  for i = 2, #node do
    if type(node[i]) == 'table' then count = count + containers(node[i]) end
  end
  return count
end

local function ordered(node)
  -- A range of the order's column limits the scan, and needs no test of its own. Not a range that
  -- is ANDed only because the other parts of an OR have no rows: the client knows it as an OR.
  local range, others = nil, {}
  for _, part in ipairs(parts_of('and', node)) do
    if not range and part.of == order and not part.nested then range = part else others[#others + 1] = part end
  end
  local filter, residual = split(join('and', others))
  if filter == NONE then return false end
  if filter[1] ~= 'rows' then evaluating = segments * (SEGMENT_EVALUATED + CONTAINER_EVALUATED * containers(filter)) end
  local code, mark, other = ARGV[14], ARGV[15], ARGV[16]
  local ways = { 'value', 'null' }
  if range or nulls == 'never' then ways = { 'value' } elseif nulls == 'first' then ways = { 'null', 'value' } end
  for i, way in ipairs(ways) do
    if code == '' or code == way then
      if code == '' then mark, other = '', '' end
      code = ''
      if way == 'value' then
        if deliver_ordered(filter, residual, range, mark, other) then return true end
      else
        local null = join('and', { leaf(order), filter })
        if deliver_rows(led(null) or null, residual, tonumber(mark), descending, 'null') then return true end
      end
      if i < #ways and spent(0) then return stop(ways[i + 1], '') end
    end
  end
  return false
end

local function run()
  if refusal then return refusal end
  local more = false
  if total > 0 and wanted > 0 then
    local node = parse_filter(18 + ARGV[17])
    refusal = too_long()
    if refusal then return refusal end
    if order ~= '' then
      more = ordered(node)
    else
      local filter, residual = split(node)
      if timed and filter[1] == 'rows' then why = text('no more than %d rows match', filter.size) end
      more = deliver_rows(filter, residual, tonumber(ARGV[15]), descending, 'row')
    end
  end
  return answer(more)
end

return leave_nothing(run)
