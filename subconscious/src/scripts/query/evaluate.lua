-- evaluate.lua: the rows of a segment that match a filter, as a set (see sets.lua). A library for
-- queries. Other scripts include this file after nodes.lua. KEYS, ARGV and Returns are those of the
-- including script.
--
-- Exports   container(node, segment)   the rows of a container
--           rows_of(node)              the rows of a node that has few: of { rows } or of a range
--           lists_of(node)             the same, as a list of offsets for each segment
--           evaluate(node, segment)    the rows that match a node without wide ranges. A node with
--                                      a field `sets` keeps its sets there, as they will be needed
--                                      again
--           live(segment)              the key of the bitmap of the rows in use

local function container(node, segment)
  local number = decimal[segment]
  local key = node[2] .. number .. node[4]
  effort = effort + CONTAINER
  if call('EXISTS', key) == 1 then return key end
  local list = call('SMEMBERS', node[3] .. number .. node[4])
  if #list == 0 then return nil end
  effort = effort + #list * MEMBER
  for i = 1, #list do list[i] = tonumber(list[i]) end
  return list
end

local function live(segment) return p .. KEY_LIVE .. decimal[segment] end

local function rows_of(node)
  if not node.rows then
    local rows = {}
    if node[1] == 'range' then
      for i, member in ipairs(call('ZRANGE', node.key, node.from, node.to - 1)) do rows[i] = row_of(member) end
      effort = effort + #rows * LISTED_ROW
    else
      for first = 1, #node.keys, 4000 do
        local found
        if #node.keys == 1 then found = call('SMEMBERS', node.keys[1]) else found = call('SUNION', unpack(node.keys, first, math.min(first + 3999, #node.keys))) end
        for _, row in ipairs(found) do rows[#rows + 1] = tonumber(row) end
      end
      effort = effort + #rows * MEMBER
      node.size = #rows
    end
    node.rows = rows
  end
  return node.rows
end

local function lists_of(node)
  if not node.lists then
    local lists, rows = {}, rows_of(node)
    if segments == 1 then lists[0], rows = rows, {} end
    for _, row in ipairs(rows) do
      local offset = row % SEGMENT
      local segment = (row - offset) / SEGMENT
      local list = lists[segment]
      if not list then
        list = {}
        lists[segment] = list
      end
      list[#list + 1] = offset
    end
    node.lists = lists
  end
  return node.lists
end

-- The bitmaps of a node, if all its parts are containers, and all of these are bitmaps in the
-- segment. One EXISTS asks for all of them.
local function bitmaps_of(node, segment)
  local keys, number = {}, decimal[segment]
  for i = 2, #node do
    local part = node[i]
    if part[1] ~= 'equals' then return nil end
    keys[i - 1] = part[2] .. number .. part[4]
  end
  if #keys < 4000 and call('EXISTS', unpack(keys)) == #keys then return keys end
end

local evaluate

local function intersection(node, segment)
  local lists, keys, without = {}, bitmaps_of(node, segment), {}
  if keys then return bitop('AND', keys) end
  keys = {}
  for i = 2, #node do
    local part = node[i]
    if part[1] == 'not' then
      without[#without + 1] = part[2]
    else
      local set = evaluate(part, segment)
      if not set then return nil end
      if type(set) == 'table' then lists[#lists + 1] = set else keys[#keys + 1] = set end
    end
  end
  if #lists > 0 then
    table.sort(lists, function(x, y) return #x < #y end)
    local list = lists[1]
    for i = 2, #lists do list = list and keep(list, member_test(lists[i], #list), true) end
    for _, key in ipairs(keys) do list = list and keep(list, member_test(key, #list), true) end
    for _, part in ipairs(without) do list = list and keep(list, member_test(evaluate(part, segment), #list), false) end
    return list
  end
  if #keys == 0 then keys[1] = live(segment) end
  local own, result = #keys > 1, keys[1]
  if own then result = bitop('AND', keys) end
  for _, part in ipairs(without) do
    local set = result and evaluate(part, segment)
    if type(set) == 'table' then
      if not own then result, own = bitop('OR', { result }), true end
      effort = effort + #set * BIT_TESTED
      for _, offset in ipairs(set) do call('SETBIT', result, text('%d', offset), '0') end
    elseif set then
      -- a XOR (a AND b) is a without b, for bitmaps of any length. a AND NOT b would lose the rows
      -- of a beyond the end of b.
      local both = bitop('AND', { result, set })
      if both then result, own = bitop('XOR', { result, both }), true end
    end
  end
  return result
end

local function union(node, segment)
  local lists, keys, count = {}, bitmaps_of(node, segment), 0
  if keys then return bitop('OR', keys) end
  keys = {}
  for i = 2, #node do
    local set = evaluate(node[i], segment)
    if type(set) == 'table' then
      lists[#lists + 1] = set
      count = count + #set
    elseif set then
      keys[#keys + 1] = set
    end
  end
  if #keys == 0 and #lists <= 1 then return lists[1] end
  if #keys == 0 and count <= 8 * PROMOTE then
    local seen, all = {}, {}
    for _, list in ipairs(lists) do
      for _, offset in ipairs(list) do
        if not seen[offset] then
          seen[offset] = true
          all[#all + 1] = offset
        end
      end
    end
    return all
  end
  if #lists == 0 and #keys == 1 then return keys[1] end
  local result = #keys > 0 and bitop('OR', keys) or nil
  if not result and count > 0 then
    -- The key may still hold the bitmap of another segment.
    result = temporary()
    call('DEL', result)
  end
  effort = effort + count * BIT_TESTED
  for _, list in ipairs(lists) do
    for _, offset in ipairs(list) do call('SETBIT', result, text('%d', offset), '1') end
  end
  return result
end

-- Comparisons, not a table of functions: making the table takes longer than evaluating a few
-- containers.
local function evaluated(node, segment)
  local operator = node[1]
  if operator == 'equals' then
    return container(node, segment)
  elseif operator == 'and' then
    return intersection(node, segment)
  elseif operator == 'or' then
    return union(node, segment)
  elseif operator == 'not' then
    return intersection({ 'and', node }, segment)
  elseif operator == 'rows' or operator == 'range' then
    return lists_of(node)[segment]
  elseif operator == 'all' then
    local key = live(segment)
    if call('EXISTS', key) == 1 then return key end
  end
end

function evaluate(node, segment)
  local sets = node.sets
  if not sets then return evaluated(node, segment) end
  if sets[segment] == nil then
    sets[segment] = evaluated(node, segment) or false
    pin()
  end
  return sets[segment] or nil
end
