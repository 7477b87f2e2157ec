-- one_value.lua: the short way of the usual query: the first rows that have one value of a column,
-- in row order or in the order of a sorted set, if the value has a posting list with few rows.
-- Query.lua includes this file after deliver.lua, and before all that other queries need. KEYS,
-- ARGV and Returns are those of query.lua, which ends here if its query is the usual one.

-- The reply; nil for other queries.
local function one_value()
  local at = 18 + ARGV[17]
  local usual = ARGV[at] == 'equals' and #ARGV == at + 2 and ARGV[14] == '' and ARGV[13] == 'choose'
  if not usual or refusal or total == 0 or wanted == 0 or index == INDEX_ORDINALS then return nil end
  -- A member of these orders always has more than the row, so its score is not found by the row.
  local kind = byte(ARGV[12], 2)
  if kind == KIND_BYTES or kind == KIND_DECIMAL then return nil end
  local name, rest = ARGV[at + 1], ':' .. ARGV[at + 2]
  if call('HGET', p .. KEY_DIVIDED .. name, rest) then return nil end
  local list = call('SMEMBERS', p .. KEY_LIST .. name .. rest)
  local n = #list
  if n > TOP_K then return nil end
  local ascending, last = true, -1
  for i = 1, n do
    local row = tonumber(list[i])
    ascending = ascending and row > last
    list[i], last = row, row
  end
  -- Redis keeps them in order as long as they are an array.
  if not ascending then table.sort(list) end
  local members, scores = {}, nil
  if order ~= '' and n > 0 then
    for i = 1, n do members[i] = struct.pack('>I4', list[i]) end
    scores = call('ZMSCORE', p .. KEY_SORTED .. order, unpack(members))
    -- The row has no value, or its member has more than the row.
    for i = 1, n do
      if not scores[i] then return nil end
    end
  end
  looked, expected = n, n
  if timed then why = text('no more than %d rows match', n) end
  if not scores then
    for i = 1, n do
      local row = list[descending and n + 1 - i or i]
      if deliver(row, 'row', row) or i % 16 == 0 and spent(0) then return answer(i < n and stop('row', row)) end
    end
    return answer(false)
  end
  taken = 'top-k'
  -- Sorting numbers takes a tenth of the time of sorting by a function that compares. Rows of one
  -- score are a chain: `at` has the first one, `after` the next of each.
  local numbers, count, at, after = {}, 0, {}, {}
  for k = 1, n do
    local i = descending and k or n + 1 - k
    local number = tonumber(scores[i])
    local next = at[number]
    if next then
      after[i] = next
    else
      count = count + 1
      numbers[count] = number
    end
    at[number] = i
  end
  table.sort(numbers)
  local k = 0
  for place = 1, count do
    local i = at[numbers[descending and count + 1 - place or place]]
    while i do
      k = k + 1
      local full = deliver(list[i], 'value', scores[i], members[i])
      if full or k % 16 == 0 and spent(0) then return answer(k < n and stop('value', scores[i], members[i])) end
      i = after[i]
    end
  end
  return answer(false)
end
local reply = one_value()
if reply then return reply end
