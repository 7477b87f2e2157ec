-- groups.lua: counts the rows that match a filter by the value of an indexed column.
--
-- KEYS[1]   the key t:0 of the model, which never exists. The server demands a right to write for
--           the key that a script is given (see docs/src/rights.md)
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   registration of the program: see ready.lua
-- ARGV[3]   the budget in microseconds: see budget.lua
-- ARGV[4]   width in bytes of an entry of the row directory; 0 if the directory is made of hashes
-- ARGV[5]   the column
-- ARGV[6]   its kind, a byte
-- ARGV[7]   segment to begin with
-- ARGV[8]   a bitmap of the rows of that segment that are to be counted; "" for all rows that match
-- ARGV[9]   number of the first values below that have none of these rows, as they were counted
--           before
-- ARGV[10]  v, the number of known values
-- then      v values in the order in which they were found: = followed by the value, or 0 for null
--           the filter (see nodes.lua)
--
-- There is no list of a column's values. The script finds a new value by reading the record of a
-- row that has none of the known values.
--
-- Returns   { counted, next segment (-1 if there is none), rows of that segment that are left (as
--           in ARGV[8]), number as in ARGV[9], then for every value that has rows: the value (in
--           the form above) and the number of its rows }. New values are in the order in which they
--           were found
--           or { along, column }: nothing was counted, as a range of this column is too wide for
--           the script. The rest of the filter is ANDed with this range
--           or { wide }: nothing was counted, as the filter has wide ranges in any other way
--           or nil, then a reason and its details (see ready.lua)

-- include query/begin.lua
-- include query/filter.lua

local name, kind = ARGV[5], byte(ARGV[6])
local values, counts = { unpack(ARGV, 11, 10 + ARGV[10]) }, {}
for _, value in ipairs(values) do counts[value] = 0 end

-- include shared/plain.lua
local function add(value, count)
  if not counts[value] then
    values[#values + 1] = value
    counts[value] = 0
  end
  counts[value] = counts[value] + count
end

-- The value in a row's record, or nil if the record is gone.
local function value_of(row)
  effort = effort + GROUP_READ
  local id = id_in(entry_of(row))
  local record = id and call('HMGET', p .. KEY_RECORD .. id, '#', name)
  if not record or record[1] ~= text('%d', row) then return nil end
  return record[2] and '=' .. plain(kind, record[2]) or '0'
end

-- The node of a value.
local nodes = {}
local function node_of(value)
  if not nodes[value] then nodes[value] = leaf(name, value ~= '0' and sub(value, 2)) end
  return nodes[value]
end

-- Removes the rows of a value from the bitmap. Returns their number.
local function take(own, value, segment)
  local count, before = 0, in_use()
  local bitmap = p .. KEY_BITMAP .. name .. ':' .. decimal[segment] .. (value ~= '0' and ':' .. sub(value, 2) or '')
  if call('EXISTS', bitmap) == 1 then
    effort = effort + VALUE_COUNTED
    local both = bitop('AND', { own, bitmap })
    count = both and call('BITCOUNT', both) or 0
    if count > 0 then call('BITOP', 'XOR', own, own, both) end
    release(before)
    return count
  end
  local node = node_of(value)
  local offsets = node ~= NONE and evaluate(node, segment) or {}
  effort = effort + #offsets
  -- One command clears many bits, and answers what each bit was.
  for first = 1, #offsets, 1000 do
    local field, n = { 'BITFIELD', own }, 2
    for i = first, math.min(first + 999, #offsets) do
      field[n + 1], field[n + 2], field[n + 3], field[n + 4] = 'SET', 'u1', decimal[offsets[i]], '0'
      n = n + 4
    end
    for _, bit in ipairs(call(unpack(field))) do count = count + bit end
  end
  return count
end

-- Counts the rows of a bitmap and clears them in it, until none is left. If the budget is spent
-- before, returns the number of values that were tried.
local function count_bitmap(own, tried, segment)
  local left = call('BITCOUNT', own)
  while left > 0 do
    local offset, value
    if tried == #values or left <= 16 then
      -- This row has none of the tried values, or few rows are left: these are read one by one.
      offset = call('BITPOS', own, 1)
      value = value_of(segment * SEGMENT + offset)
      if value and not counts[value] and left > 16 then
        add(value, 0)
        offset = nil
      end
    end
    if offset then
      if value then add(value, 1) end
      call('SETBIT', own, text('%d', offset), 0)
      left = left - 1
    else
      tried = tried + 1
      local count = take(own, values[tried], segment)
      add(values[tried], count)
      left = left - count
    end
    if left > 0 and spent(0) then return tried end
  end
end

-- Counts rows of any segments: the rows of one value after the other, as long as each is an eighth
-- of what is left, then one row after the other. Returns whether there were few enough rows.
local function count_rows(rows)
  local share = 1
  make_among()
  while #rows > 16 and share * 8 >= 1 do
    local value, found, left = value_of(rows[1]), { [rows[1]] = true }, {}
    if value then
      local some = among(node_of(value), rows)
      add(value, #some)
      for _, row in ipairs(some) do found[row] = true end
    end
    for _, row in ipairs(rows) do
      if not found[row] then left[#left + 1] = row end
    end
    share, rows = 1 - #left / #rows, left
  end
  if #rows * GROUP_READ > budget then return false end
  for _, row in ipairs(rows) do
    local value = value_of(row)
    if value then add(value, 1) end
  end
  return true
end

local function run()
  local refusal = not_ready()
  if refusal then return refusal end
  if total == 0 then return { 'counted', -1, '', 0 } end
  local node = parse_filter(11 + ARGV[10])
  refusal = too_long()
  if refusal then return refusal end
  local filter, residual = split(node)
  if residual then
    local ranges, others = {}, false
    for _, part in ipairs(parts_of('and', residual)) do
      if part[1] == 'range' and part.wide then ranges[#ranges + 1] = part[2] else others = others or part.wide end
    end
    if #ranges == 1 and not others then return { 'along', ranges[1] } end
    return { 'wide' }
  end
  local reply, last = { 'counted', -1, '', 0 }, segments - 1
  if filter[1] == 'rows' and ARGV[7] == '0' and ARGV[8] == '' then
    if not count_rows(rows_of(filter)) then return { 'wide' } end
    last = -1
  end
  for segment = tonumber(ARGV[7]), last do
    local own, tried, rows = nil, 0, nil
    if segment == tonumber(ARGV[7]) and ARGV[8] ~= '' then
      own, tried = temporary(), tonumber(ARGV[9])
      call('SET', own, ARGV[8])
    else
      rows = evaluate(filter, segment)
      if type(rows) == 'string' then own = bitop('OR', { rows }) end
    end
    if not own and rows and #rows > 64 then
      own = temporary()
      call('DEL', own)
      effort = effort + #rows
      for _, offset in ipairs(rows) do call('SETBIT', own, text('%d', offset), '1') end
    end
    if own then
      local ended = count_bitmap(own, tried, segment)
      if ended then
        reply = { 'counted', segment, call('GET', own), ended }
        break
      end
    elseif type(rows) == 'table' then
      for _, offset in ipairs(rows) do
        local value = value_of(segment * SEGMENT + offset)
        if value then add(value, 1) end
      end
    end
    release()
    if segment < segments - 1 and spent(CONTAINER) then
      reply[2] = segment + 1
      break
    end
  end
  for _, value in ipairs(values) do
    if counts[value] > 0 then
      reply[#reply + 1] = value
      reply[#reply + 1] = counts[value]
    end
  end
  return reply
end

return leave_nothing(run)
