-- split.lua: how a filter is answered. A library for queries. Other scripts include this file after
-- tester.lua. KEYS, ARGV and Returns are those of the including script.
--
-- Exports   LISTED         greatest number of rows of a range that are listed. Of a wider range,
--                          each row is tested by its record
--           led(node)      a node of the rows that match, if few rows can: see below. Else nil
--           make_among()   makes the function among(node, rows): the rows of a list that match a
--                          node
--           split(node)    two nodes: one that sets can answer, and the residual filter, by which
--                          each row still has to be tested; nil if there is none

-- Listing them takes half of the budget at most.
local LISTED = math.min(budget / 2, 4000)

-- A filter that few rows can match is led by these rows: the rows of its shortest posting list or
-- range are read, and each other part is tested for just these. This touches no segment, so it
-- costs the same in a model of any size. So many rows at most, whatever the budget:
local LED = 4000

-- An upper bound of the number of rows that match, and the microseconds to test the node for a row.
local function bound(node)
  local operator = node[1]
  if operator == 'rows' then return node.size, ROW_IN_LIST * (node.rows and 1 or #node.keys) end
  if operator == 'equals' then return math.huge, BIT_TESTED end
  -- The sort key of most numbers can be read without their record.
  if operator == 'range' then return node.size, (node[3] == KIND_INTEGER or node[3] == KIND_FLOAT) and BIT_TESTED or RECORD_READ end
  if node == NONE then return 0, 0 elseif node == ALL then return math.huge, 0 end
  local least, sum, work = math.huge, 0, 0
  for i = 2, #node do
    local size, tested = bound(node[i])
    least, sum, work = math.min(least, size), sum + size, work + tested
  end
  if operator == 'and' then return least, work elseif operator == 'or' then return sum, work end
  return math.huge, work
end

-- These functions are made when they are first needed, as many queries are led by no rows.
local among, few
local function make_among()
  -- The rows of a list that match a node. Each part of the node is tested for all rows at once.
  function among(node, rows)
    local operator, kept = node[1], {}
    if #rows == 0 or node == ALL then return rows elseif node == NONE then return kept end
    effort = effort + #rows * BIT_TESTED
    if operator == 'and' then
      for i = 2, #node do rows = among(node[i], rows) end
      return rows
    elseif operator == 'or' or operator == 'not' then
      for i = 2, #node do
        local some, left = among(node[i], rows), {}
        local found = lookup(some)
        for _, row in ipairs(rows) do
          if not found[row] then left[#left + 1] = row end
        end
        for _, row in ipairs(some) do kept[#kept + 1] = row end
        rows = left
      end
      return operator == 'or' and kept or rows
    elseif operator == 'rows' and not node.rows and #node.keys == 1 then
      local arguments = {}
      for i, row in ipairs(rows) do arguments[i] = decimal[row] end
      for i, found in ipairs(call('SMISMEMBER', node.keys[1], unpack(arguments))) do
        if found == 1 then kept[#kept + 1] = rows[i] end
      end
      return kept
    elseif operator == 'rows' or operator == 'range' and node.size <= #rows then
      local found = lookup(rows_of(node))
      for _, row in ipairs(rows) do
        if found[row] then kept[#kept + 1] = row end
      end
      return kept
    elseif operator == 'range' then
      local members = {}
      for i, row in ipairs(rows) do members[i] = struct.pack('>I4', row) end
      -- Most members are the row alone. Others begin with the tail of the sort key.
      for i, score in ipairs(call('ZMSCORE', node.key, unpack(members))) do
        local member = members[i]
        if not score then
          effort = effort + RECORD_READ
          score, member = place_of(rows[i], node[2], node[3])
        end
        if score and in_range(node, tonumber(score), member) then kept[#kept + 1] = rows[i] end
      end
      return kept
    end
    for segment, list in pairs(lists_of({ 'rows', rows = rows })) do
      local bitmap, test = node[2] .. decimal[segment] .. node[4], nil
      if call('EXISTS', bitmap) == 1 then
        test = member_test(bitmap, #list)
        for _, offset in ipairs(list) do
          if test(offset) then kept[#kept + 1] = segment * SEGMENT + offset end
        end
      else
        local names = {}
        for i, offset in ipairs(list) do names[i] = decimal[offset] end
        for i, found in ipairs(call('SMISMEMBER', node[3] .. decimal[segment] .. node[4], unpack(names))) do
          if found == 1 then kept[#kept + 1] = segment * SEGMENT + list[i] end
        end
      end
    end
    return kept
  end

  -- The rows that match a node that has a bound.
  function few(node)
    local operator = node[1]
    if node == NONE then return {} end
    if operator == 'rows' or operator == 'range' then return rows_of(node) end
    local rows = {}
    if operator == 'or' then
      local found = {}
      for i = 2, #node do
        for _, row in ipairs(few(node[i])) do
          if not found[row] then
            found[row] = true
            rows[#rows + 1] = row
          end
        end
      end
      return rows
    end
    local parts, sizes = parts_of('and', node), {}
    for _, part in ipairs(parts) do sizes[part] = bound(part) end
    table.sort(parts, function(x, y) return sizes[x] < sizes[y] end)
    rows = few(parts[1])
    for i = 2, #parts do rows = among(parts[i], rows) end
    return rows
  end
end

local function led(node)
  if node[1] == 'rows' then
    -- In a column of lists, a row may be in two posting lists.
    if node.keys and #node.keys > 1 then rows_of(node) end
    return node
  end
  local size, work = bound(node)
  if (size > LED or size * (work + LISTED_ROW) > budget) and (node[1] ~= 'range' or size > LISTED) then return nil end
  if not few then make_among() end
  local rows = few(node)
  return #rows > 0 and { 'rows', rows = rows, size = #rows } or NONE
end

-- Decides for each range: its rows are listed, or the rows outside it are listed, or each row is
-- tested by its record.
local function settle(node)
  local operator = node[1]
  if operator == 'not' then return negate(settle(node[2])) end
  if node.values then return node end
  if operator == 'and' or operator == 'or' then
    local parts = {}
    for i = 2, #node do parts[i - 1] = settle(node[i]) end
    return join(operator, parts)
  end
  if operator == 'range' and node.size > LISTED then
    if node.from + node.all - node.to > LISTED then
      node.wide = true
    else
      local null = leaf(node[2])
      local below = { 'range', node[2], node[3], key = node.key, from = 0, to = node.from, size = node.from, high = node.low }
      local above = { 'range', node[2], node[3], key = node.key, from = node.to, to = node.all, size = node.all - node.to, low = node.high }
      return negate(join('or', { null, below.size > 0 and below or NONE, above.size > 0 and above or NONE }))
    end
  end
  return node
end

-- A node without wide ranges that matches at least the rows of this node; with `less`, at most
-- these rows.
local function approximate(node, less)
  if not node.wide then return node end
  local operator = node[1]
  if operator == 'range' then return less and NONE or negate(leaf(node[2])) end
  if operator == 'not' then return negate(approximate(node[2], not less)) end
  local parts = {}
  for i = 2, #node do parts[i - 1] = approximate(node[i], less) end
  return join(operator, parts)
end

local function split(node)
  local rows = led(node)
  if rows then return rows, nil end
  node = settle(node)
  if not node.wide then return node, nil end
  if node[1] ~= 'and' then return approximate(node), node end
  local parts, residual = {}, {}
  for i = 2, #node do
    if node[i].wide then residual[#residual + 1] = node[i] end
    parts[i - 1] = approximate(node[i])
  end
  return join('and', parts), join('and', residual)
end
