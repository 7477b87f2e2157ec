-- nodes.lua: the filter as a tree. A library for queries. Other scripts include this file after
-- sets.lua. KEYS, ARGV and Returns are those of the including script.
--
-- A filter is in prefix form, one argument for each word. plan/program.rs encodes it:
--   all | none | not .. | and n .. | or n .. | equals name value | in name kind n value .. |
--   unique name n value .. | null name | ordinals name lowest highest |
--   range name kind score member score member
-- The first score and member are the lower bound, which is in the range. The second are the upper
-- bound, which is not in it. A score of "" means no bound.
--
-- A node is { operator, .. }, one of:
--   { all }, { none }                   the only nodes of their kinds: ALL and NONE
--   { not, node }, { and, nodes }, { or, nodes }
--   { equals, parts of its keys }       the containers of a divided value or of null
--   { rows }                            some rows of any segments. Fields: `size` (their number, at
--                                       most), and `keys` (their posting lists) or `rows` (a list)
--   { range, name, kind }               fields: `key`; `from` and `to` (ranks); `size`; `all`
--                                       (number of members); `low` and `high` (bounds, each {
--                                       score, member }); `nested` (whether it is within an OR or a
--                                       NOT)
-- An OR of values has the fields `name` (its column) and `values`, if records store the values in
-- the form of the index. An OR that stands for a range of ordinals has the fields `of` (its
-- column), `from` and `to` (its bounds), and `nested`. A node has the field `wide` if it contains a
-- range that is too wide to list.
--
-- Exports   ALL, NONE, leaf(name, value), negate(node), join(operator, nodes), parts_of(operator,
--           node)
--           one_of(name, values, as_stored, divided)   the node of some values of a column. It has
--                                 the fields `name` and `values` if records store the values in the
--                                 form of the index. With `divided`, all values are known to be so
--           parse_filter(first)   the node that begins at ARGV[first], and the position in ARGV
--                                 after it
--           too_long()            a refusal if the posting lists of the filter are so long that the
--                                 client has to evaluate it

local ALL, NONE = { 'all' }, { 'none' }

-- The rows that have a value, or that are null. The keys of a container consist of the parts in the
-- node and the segment.
local function leaf(name, value)
  local rest = value and ':' .. value or ''
  effort = effort + CONTAINER
  if call('HGET', p .. KEY_DIVIDED .. name, rest) then return { 'equals', p .. KEY_BITMAP .. name .. ':', p .. KEY_SET .. name .. ':', rest } end
  local key = p .. KEY_LIST .. name .. rest
  local size = call('SCARD', key)
  return size > 0 and { 'rows', keys = { key }, size = size } or NONE
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

-- The parts that the operator joins in a node, or the node alone. A loop copies them, as there may
-- be more than a script can unpack.
local function parts_of(operator, node)
  if node[1] ~= operator then return { node } end
  local parts = {}
  for i = 2, #node do parts[i - 1] = node[i] end
  return parts
end

-- The number of rows in the posting lists of the filter.
local listed = 0

local function one_of(name, values, as_stored, divided)
  if #values == 1 then return leaf(name, values[1]) end
  local parts, keys, size, bitmap, set = {}, {}, 0, p .. KEY_BITMAP .. name .. ':', p .. KEY_SET .. name .. ':'
  for first = 1, #values, 4000 do
    local last, fields, found = math.min(first + 3999, #values), {}, {}
    for i = first, last do fields[i - first + 1] = ':' .. values[i] end
    if not divided then found = call('HMGET', p .. KEY_DIVIDED .. name, unpack(fields)) end
    for i = 1, #fields do
      if divided or found[i] then
        parts[#parts + 1] = { 'equals', bitmap, set, fields[i] }
      else
        local key = p .. KEY_LIST .. name .. fields[i]
        local rows = call('SCARD', key)
        if rows > 0 then keys[#keys + 1], size = key, size + rows end
      end
    end
  end
  effort, listed = effort + #values, listed + size
  if size > 0 then parts[#parts + 1] = { 'rows', keys = keys, size = size } end
  local node = join('or', parts)
  if as_stored and #parts > 1 then node.name, node.values = name, values end
  return node
end

local function too_long()
  if listed > math.max(budget * 2, 512) then return refuse('lists') end
end

-- One function that compares, not one for each operator: making a function costs a small query
-- 0.1 us.
local at
-- Whether what is parsed is within an OR or a NOT.
local nested
local function parse()
  local operator = ARGV[at]
  at = at + 1
  if operator == 'and' or operator == 'or' then
    at = at + 1
    local parts, outside = {}, nested
    nested = outside or operator == 'or'
    for i = 1, tonumber(ARGV[at - 1]) do parts[i] = parse() end
    nested = outside
    return join(operator, parts)
  elseif operator == 'not' then
    local outside = nested
    nested = true
    local node = parse()
    nested = outside
    return negate(node)
  elseif operator == 'all' then
    return ALL
  elseif operator == 'none' then
    return NONE
  end
  local name = ARGV[at]
  at = at + 1
  if operator == 'equals' then
    at = at + 1
    return leaf(name, ARGV[at - 1])
  elseif operator == 'null' then
    return leaf(name)
  elseif operator == 'range' then
    local key, kind, low, low_member, high, high_member = p .. KEY_SORTED .. name, byte(ARGV[at]), unpack(ARGV, at + 1, at + 4)
    at = at + 5
    local all = call('ZCARD', key)
    local node = { 'range', name, kind, key = key, all = all, from = 0, to = all, of = name, nested = nested }
    if low ~= '' then node.from, node.low = rank(key, low, low_member), { tonumber(low), low_member } end
    if high ~= '' then node.to, node.high = rank(key, high, high_member), { tonumber(high), high_member } end
    node.size = node.to - node.from
    return node.size > 0 and node or NONE
  elseif operator == 'in' then
    local kind, first, values = byte(ARGV[at]), at + 2, {}
    at = first + ARGV[at + 1]
    for i = first, at - 1 do values[#values + 1] = ARGV[i] end
    -- Records may store lists, decimals and floats in other texts than indexes do.
    return one_of(name, values, kind ~= KIND_LIST and kind ~= KIND_DECIMAL and kind ~= KIND_FLOAT)
  elseif operator == 'unique' then
    local first, rows = at + 1, {}
    at = first + ARGV[at]
    for i = first, at - 1, 4000 do
      for _, row in ipairs(call('HMGET', p .. KEY_UNIQUE .. name, unpack(ARGV, i, math.min(i + 3999, at - 1)))) do
        rows[#rows + 1] = tonumber(row) or nil
      end
    end
    return #rows > 0 and { 'rows', rows = rows, size = #rows } or NONE
  elseif operator == 'ordinals' then
    at = at + 2
    local lowest, highest = ARGV[at - 2], ARGV[at - 1]
    local key, divided = p .. KEY_VALUES .. name, p .. KEY_DIVIDED .. name
    local values, all = call('ZRANGE', key, lowest, highest, 'BYSCORE'), false
    -- It is usual that all values of such a column are divided. Null, which may be so too, has no
    -- ordinal.
    if #values > 4 then all = call('HLEN', divided) - (call('HGET', divided, '') and 1 or 0) == call('ZCARD', key) end
    local node = one_of(name, values, true, all)
    if node ~= NONE then node.of, node.from, node.to, node.nested = name, lowest, highest, nested end
    return node
  end
  error('the filter has an unknown word, ' .. operator)
end
local function parse_filter(first)
  at = first
  return parse(), at
end
