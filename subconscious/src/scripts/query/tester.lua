-- tester.lua: whether single rows match a filter. A library for queries. Other scripts include this
-- file after evaluate.lua. KEYS, ARGV and Returns are those of the including script.
--
-- Exports   is_evaluated(node)   whether evaluating a segment is cheaper than looking up a few rows
--                                in its containers
--           is_read(node)        whether the first rows of a segment are tested by reading their
--                                records
--           expect_rows(count)   notes an estimate of how many rows of each segment will be tested
--           ranked(node)         the parts that are ANDed: first those that let the fewest rows
--                                through, last those that read records
--           tester(node)         a function that says whether the row of a segment and an offset
--                                matches the node. Its third argument may be the offset as text, if
--                                that is known

local expected_rows = 0
local function expect_rows(count) expected_rows = math.max(expected_rows, count) end

-- A range that is listed can only be evaluated.
local function is_evaluated(node) return not node.wide and (node[1] == 'range' or node[1] == 'or' and #node > 4) end

-- At most as many records are read as the node has values, as a record takes about as long as a
-- container: the break-even rule of plan/cost.rs.
local function is_read(node)
  if node[1] == 'not' then node = node[2] end
  return node.values and #node > 4 and expected_rows < #node.values
end

-- Estimated number of rows in the first eighth of the middle segment that match a part.
local function weight_of(part)
  if part[1] == 'rows' then return part.size / segments / 8 end
  if part[1] == 'not' then
    -- The rows that a NOT leaves out are easier to count than those that it lets through.
    return math.min(handed, SEGMENT / 8) - weight_of(part[2])
  end
  local segment, set = floor(segments / 2), nil
  if part[1] == 'equals' then
    set = part[2] .. decimal[segment] .. part[4]
    if call('EXISTS', set) == 0 then return call('SCARD', part[3] .. decimal[segment] .. part[4]) / 8 end
  else
    if is_evaluated(part) then part.sets = part.sets or {} end
    set = evaluate(part, segment)
    release()
  end
  return type(set) == 'string' and call('BITCOUNT', set, '0', '4095') or set and #set / 8 or 0
end

local function ranked(node)
  local parts = parts_of('and', node)
  if #parts > 1 then
    local weights = {}
    for _, part in ipairs(parts) do
      if part.wide then
        weights[part] = math.huge
      elseif is_read(part) then
        weights[part] = SEGMENT
      else
        weights[part] = weight_of(part)
      end
    end
    table.sort(parts, function(x, y) return weights[x] < weights[y] end)
  end
  return parts
end

local tester

-- Tests by the set of the segment, which is evaluated when it is first needed. If is_read() is
-- true, some rows are tested by their records before that.
local function test_by_set(node)
  local found, read, values = {}, {}, is_read(node) and lookup(node.values)
  node.sets = node.sets or {}
  return function(segment, offset)
    local set = found[segment]
    if set == nil then
      local n = read[segment] or 0
      if values and n < #node.values and is_read(node) then
        read[segment], effort = n + 1, effort + RECORD_READ
        local id = id_in(entry_of(segment * SEGMENT + offset))
        return values[id and call('HGET', p .. KEY_RECORD .. id, node.name) or false] or false
      end
      set = evaluate(node, segment) or false
      if type(set) == 'table' then set = lookup(set) end
      found[segment] = set
    end
    if type(set) == 'string' then return call('GETBIT', set, text('%d', offset)) == 1 end
    return set and set[offset] or false
  end
end

-- Tests by one part after the other, until one decides.
local function test_parts(node)
  local operator, count = node[1], #node - 1
  local decisive, parts = operator == 'or', nil
  if decisive or node.ranked then parts = parts_of(operator, node) else parts = ranked(node) end
  for i, part in ipairs(parts) do
    parts[i] = { part, part[1] == 'equals' and {} or nil, part[1] ~= 'equals' and tester(part) or nil }
  end
  return function(segment, offset, name)
    for i = 1, count do
      local part = parts[i]
      local found, passes = part[2], nil
      if found then
        -- A container is looked up here. Calling a function for it would take as long as the
        -- look-up.
        local set = found[segment]
        if set == nil then
          set = container(part[1], segment) or false
          if type(set) == 'table' then set = lookup(set) end
          found[segment] = set
        end
        if type(set) == 'string' then
          name = name or text('%d', offset)
          passes = call('GETBIT', set, name) == 1
        else
          passes = set and set[offset] or false
        end
      else
        passes = part[3](segment, offset)
      end
      if passes == decisive then return decisive end
    end
    return not decisive
  end
end

-- The table is made when it is first needed, as many queries test no rows.
local testers
local function make_testers() return {
  all = function() return function() return true end end,
  none = function() return function() return false end end,
  equals = function(node) return test_parts({ 'and', node }) end,
  ['and'] = test_parts,
  ['or'] = function(node) return is_evaluated(node) and test_by_set(node) or test_parts(node) end,
  ['not'] = function(node)
    local inner = tester(node[2])
    return function(segment, offset) return not inner(segment, offset) end
  end,
  rows = function(node)
    local rows = lookup(rows_of(node))
    return function(segment, offset) return rows[segment * SEGMENT + offset] or false end
  end,
  range = function(node)
    if not node.wide then return test_by_set(node) end
    return function(segment, offset)
      local score, member = place_of(segment * SEGMENT + offset, node[2], node[3])
      return score and in_range(node, tonumber(score), member) or false
    end
  end,
} end
function tester(node)
  testers = testers or make_testers()
  return testers[node[1]](node)
end
