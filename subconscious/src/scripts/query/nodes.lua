-- nodes.lua: the filter as a tree. A library of scripts that answer queries; it comes after
-- sets.lua. KEYS and ARGV are those of the script that includes it.
--
-- A filter is in prefix form, an argument a word; plan/program.rs encodes it:
--   all | none | not .. | and n .. | or n .. | equals name value | in name kind n value .. |
--   unique name n value .. | null name | ordinals name lowest highest |
--   range name kind score member score member (at least, below; score "" for no bound)
--
-- A node is { operator, .. }, one of:
--   { all }, { none }                   the only ones of their kind: ALL and NONE
--   { not, node }, { and, nodes }, { or, nodes }
--   { equals, parts of its keys }       a container: of a value, or of null
--   { unique }                          with rows, and lists of offsets by segment
--   { range, name, kind }               with key, from and to (ranks), all (members), low and high
--                                       (places)
-- An OR of values knows its column and values (name, values) where records have them as indexes do,
-- and one that stands for a range of ordinals its column and bounds (of, from, to). `wide` marks a
-- node with a range in it that is too wide to list.
--
-- Exports   ALL, NONE, leaf(name, value), negate(node), join(operator, nodes), parts_of(operator,
--           node)
--           one_of(name, values, as_stored)   the node of some values of a column, which knows
--                                             them if records have them so
--           parse_filter(first)   the node that begins at ARGV[first], and where the next one
--                                 begins
--           needs_unbuilt(name)   notes that a column's index is needed; the first column of those
--                                 noted whose index is being built, if there is one
--           split(node)           the filter as two: what sets can be made of, and the residual
--                                 filter, that each row still has to be tested by; nil if there is
--                                 none
--           LISTED                rows of a range that are listed at most; of a wider one, each row
--                                 is tested by its record

-- In a fifth of the time.
local LISTED = math.min(budget / 2, 4000)

local ALL, NONE = { 'all' }, { 'none' }

-- The keys of a container are made of these parts and the segment.
local function leaf(name, value)
  local rest = value and ':' .. value or ''
  return { 'equals', p .. KEY_BITMAP .. name .. ':', p .. KEY_SET .. name .. ':', rest }
end

local function negate(node)
  if node == ALL then return NONE elseif node == NONE then return ALL elseif node[1] == 'not' then return node[2] end
  return { 'not', node, wide = node.wide }
end

local function join(operator, parts)
  local neutral, decisive = ALL, NONE
  if operator == 'or' then neutral, decisive = NONE, ALL end
  local node = { operator }
  for _, part in ipairs(parts) do
    if part == decisive then return decisive end
    if part ~= neutral then
      node[#node + 1] = part
      node.wide = node.wide or part.wide
    end
  end
  if #node == 1 then return neutral elseif #node == 2 then return node[2] end
  return node
end

-- What is joined by the operator in a node: its parts, or the node alone. There may be more than a
-- script can unpack.
local function parts_of(operator, node)
  if node[1] ~= operator then return { node } end
  local parts = {}
  for i = 2, #node do parts[i - 1] = node[i] end
  return parts
end

local function one_of(name, values, as_stored)
  local parts = {}
  for i, value in ipairs(values) do parts[i] = leaf(name, value) end
  local node = join('or', parts)
  if as_stored and #parts > 1 then node.name, node.values = name, values end
  return node
end

local unbuilt
local function needs_unbuilt(name)
  if building and name and name ~= '' and string.find(building, ':' .. name .. ':', 1, true) then unbuilt = unbuilt or name end
  return unbuilt
end

-- By comparisons and as one function: each function that is made costs a small query 0.1 us.
local at
local function parse()
  local operator = ARGV[at]
  at = at + 1
  if operator == 'and' or operator == 'or' then
    at = at + 1
    local parts = {}
    for i = 1, tonumber(ARGV[at - 1]) do parts[i] = parse() end
    return join(operator, parts)
  elseif operator == 'not' then
    return negate(parse())
  elseif operator == 'all' then
    return ALL
  elseif operator == 'none' then
    return NONE
  end
  local name = ARGV[at]
  at = at + 1
  if building then needs_unbuilt(name) end
  if operator == 'equals' then
    at = at + 1
    return leaf(name, ARGV[at - 1])
  elseif operator == 'null' then
    return leaf(name)
  elseif operator == 'range' then
    local key, kind, low, low_member, high, high_member = p .. KEY_SORTED .. name, byte(ARGV[at]), unpack(ARGV, at + 1, at + 4)
    at = at + 5
    local all = call('ZCARD', key)
    local node = { 'range', name, kind, key = key, all = all, from = 0, to = all, of = name }
    if low ~= '' then node.from, node.low = rank(key, low, low_member), { tonumber(low), low_member } end
    if high ~= '' then node.to, node.high = rank(key, high, high_member), { tonumber(high), high_member } end
    return node.from < node.to and node or NONE
  elseif operator == 'in' then
    local kind, first, values = byte(ARGV[at]), at + 2, {}
    at = first + ARGV[at + 1]
    for i = first, at - 1 do values[#values + 1] = ARGV[i] end
    -- Of lists, decimals and floats, records may have other texts than indexes.
    return one_of(name, values, kind ~= KIND_LIST and kind ~= KIND_DECIMAL and kind ~= KIND_FLOAT)
  elseif operator == 'unique' then
    local first, rows, lists = at + 1, {}, {}
    at = first + ARGV[at]
    for i = first, at - 1, 4000 do
      for _, row in ipairs(call('HMGET', p .. KEY_UNIQUE .. name, unpack(ARGV, i, math.min(i + 3999, at - 1)))) do
        row = tonumber(row)
        if row then
          local segment = floor(row / SEGMENT)
          local list = lists[segment] or {}
          list[#list + 1], rows[#rows + 1], lists[segment] = row % SEGMENT, row, list
        end
      end
    end
    return #rows > 0 and { 'unique', rows = rows, lists = lists } or NONE
  elseif operator == 'ordinals' then
    at = at + 2
    local lowest, highest = ARGV[at - 2] * 65536, ARGV[at - 1] * 65536 + 65535
    local node = one_of(name, call('ZRANGE', p .. KEY_VALUES .. name, lowest, highest, 'BYSCORE'), true)
    if node ~= NONE then node.of, node.from, node.to = name, lowest, highest end
    return node
  end
  error('the filter has an unknown word, ' .. operator)
end
local function parse_filter(first)
  at = first
  return parse(), at
end

-- Decides for each range whether its rows are listed, or those that are not in it, or each row is
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
  if operator == 'range' and node.to - node.from > LISTED then
    if node.from + node.all - node.to > LISTED then
      node.wide = true
    else
      local null = leaf(node[2])
      local below, above = { 'range', key = node.key, from = 0, to = node.from }, { 'range', key = node.key, from = node.to, to = node.all }
      return negate(join('or', { null, below.to > 0 and below or NONE, above.from < above.to and above or NONE }))
    end
  end
  return node
end

-- A node without wide ranges that has all rows of this one; or, for `less`, none that this one has
-- not.
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
