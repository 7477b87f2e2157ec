-- filter.lua: evaluates a filter, segment by segment into sets of rows, or for one row. It comes after rows.lua and before the text of
-- each script that says so. KEYS, ARGV and Returns are those of that script, and these of them:
--
-- ARGV[1]   what comes before every key of the model
-- ARGV[3]   microseconds after which a call ends where it is, to be gone on with by another one; with a + if it is to say how long it took
-- ARGV[4]   width of an entry of the row directory, 0 where it is made of hashes
--
-- A filter is in prefix form, an argument a word; plan/program.rs encodes it:
--   all | none | not .. | and n .. | or n .. | equals name value | in name kind n value .. | unique name n value .. |
--   null name | ordinals name lowest highest | range name kind score member score member (at least, below; score "" for
--   no bound)
--
-- It is in stages, and what comes after it is in the last one: see `Script::new`.
--
-- Nothing of it reaches replicas or the append-only file, and nothing is left behind: the script that includes this
-- runs by `leave_nothing`.

-- stage
local p, width = ARGV[1], tonumber(ARGV[4])
local bits = bits()
-- Made when it is needed.
local place

-- Microseconds. Servers since 7.2 stop TIME while a script runs, but let it ask for the processor's time.
local os = rawget(_G, 'os')
local function clock()
  if os then return os.clock() * 1000000 end
  local now = call('TIME')
  return now[1] * 1000000 + now[2]
end
local timed, budget, began = byte(ARGV[3]) == 43, tonumber(ARGV[3]), clock()
local function took() return timed and text('%d', clock() - began) or 0 end

-- Microseconds of work since the clock was looked at, about. To look at it costs as much as several small commands.
local effort = 0
-- Microseconds that it really takes, each, and when that was measured.
local pace, measured = 1, began
-- Whether the time, or so many times of it, is spent, after so much more work.
local function spent(work, times)
  effort = effort + work
  if effort * pace * 8 < budget then return false end
  local now = clock()
  pace = math.max(1, (now - measured) / effort)
  measured, effort = now, 0
  return now - began >= budget * (times or 1)
end

-- Rows of a range that are listed at most, in a fifth of the time; of a wider range, each row is tested by its record.
local LISTED = math.min(budget / 2, 4000)

-- Numbers in keys as text: joined to a text or passed to a command, a number is formatted as a double each time.
local decimal = setmetatable({}, {
  __index = function(known, number)
    known[number] = text('%d', number)
    return known[number]
  end,
})

-- Segments that may have rows, rows handed out, and records.
local segments, handed, total = 0, 0, 0

-- Whether records that expired are left to the client.
local timeless = false

-- Temporary bitmaps in use, the most there were, and those of them that are used on when a segment is done.
local in_use, temporaries, pinned = 0, 0, 0
local function temporary()
  if temporaries == 0 then
    redis.set_repl(redis.REPL_NONE)
    -- The first write of a script must not be one that a full server refuses, or reading would need free memory.
    call('DEL', p .. 't:1')
  end
  in_use = in_use + 1
  temporaries = math.max(temporaries, in_use)
  return p .. 't:' .. decimal[in_use]
end

-- Byte order. The operator would use the server's locale.
local function less(a, b)
  local shorter = math.min(#a, #b)
  for i = 1, shorter do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local function row_of(member)
  local a, b, c, d = byte(member, -4, -1)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

-- The number of members of a sorted set before (score, member).
local function rank(key, score, member)
  local low = call('ZCOUNT', key, '-inf', '(' .. score)
  if member == '' then return low end
  local high = low + call('ZCOUNT', key, score, score)
  -- Where there is but one score, as of texts, the server finds the place itself.
  if low == 0 and high == call('ZCARD', key) then return call('ZLEXCOUNT', key, '-', '(' .. member) end
  while low < high do
    local middle = floor((low + high) / 2)
    if less(call('ZRANGE', key, middle, middle)[1], member) then low = middle + 1 else high = middle end
  end
  return low
end

-- include ids.lua

-- Where a row stands in the order of a column: the score as text, and the member. nil for null.
local function standing(row, name, kind)
  local id = id_in(entry_of(row))
  local value = id and call('HGET', p .. 'r:' .. id, name)
  if not value then return nil end
  place = place or places()
  local score, tail = place(kind, value)
  return score, tail .. struct.pack('>I4', row)
end

local function earlier(score, member, edge)
  if score ~= edge[1] then return score < edge[1] end
  return less(member, edge[2])
end

-- stage
-- A set of rows of one segment is nil if empty, the key of a bitmap (a string), or a list of offsets (a table).
local function size(set)
  if not set then return 0 end
  if type(set) == 'table' then return #set end
  return call('BITCOUNT', set)
end

local function lookup(list)
  local set = {}
  for _, offset in ipairs(list) do set[offset] = true end
  return set
end

-- A function that says whether an offset is in the set; it will be asked about so many times.
local function member_test(set, times)
  if not set then return function() return false end end
  if type(set) == 'table' then
    local offsets = lookup(set)
    return function(offset) return offsets[offset] end
  end
  -- Reading the bitmap costs as much as asking for some seventy bits.
  if times < 75 then return function(offset) return call('GETBIT', set, text('%d', offset)) == 1 end end
  local bytes = call('GET', set)
  effort = effort + 40
  return function(offset)
    local rest = offset % 8
    local value = byte(bytes, (offset - rest) / 8 + 1)
    return value and floor(value / 2 ^ (7 - rest)) % 2 == 1
  end
end

local function keep(list, test, wanted)
  local kept = {}
  effort = effort + #list / 2
  for _, offset in ipairs(list) do
    if (test(offset) or false) == wanted then kept[#kept + 1] = offset end
  end
  if #kept > 0 then return kept end
end

-- BITOP goes through eight bytes at a time, but for more than 16 keys one by one.
local function bitop(operation, sources)
  local key = temporary()
  effort = effort + 4 * #sources
  local length = call('BITOP', operation, key, unpack(sources, 1, math.min(#sources, 16)))
  for first = 17, #sources, 15 do
    length = call('BITOP', operation, key, key, unpack(sources, first, math.min(first + 14, #sources)))
  end
  if length > 0 then return key end
end

-- The node of a container: a value's rows, or those that are null. Its keys are made of these parts and the segment.
local function leaf(name, value)
  local rest = value and ':' .. value or ''
  return { 'equals', p .. 'b:' .. name .. ':', p .. 'i:' .. name .. ':', rest }
end

-- A node of a filter is { operator, .. }; those for all and for no rows are these two. `wide` marks a node with a range in it
-- that is too wide to list.
local ALL, NONE = { 'all' }, { 'none' }

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

-- What is joined by the operator in a node: its parts, or the node alone. There may be more than a script can unpack.
local function parts_of(operator, node)
  if node[1] ~= operator then return { node } end
  local parts = {}
  for i = 2, #node do parts[i - 1] = node[i] end
  return parts
end

-- The node of some values of a column, which knows them if records have them as indexes do.
local function one_of(name, values, as_stored)
  local parts = {}
  for i, value in ipairs(values) do parts[i] = leaf(name, value) end
  local node = join('or', parts)
  if as_stored and #parts > 1 then node.name, node.values = name, values end
  return node
end

-- Columns whose indexes are being built, as :name:name:, and the first of them that the query needs.
local building, unbuilt = nil, nil
local function uses(name)
  if building and name ~= '' and string.find(building, ':' .. name .. ':', 1, true) then unbuilt = unbuilt or name end
end

-- Parses the filter that begins at ARGV[at]; parts of an AND with a range of this column stay as they are.
local at
local function parse()
  local operator, name = ARGV[at], ARGV[at + 1]
  at = at + 1
  if operator == 'all' then return ALL elseif operator == 'none' then return NONE end
  if operator == 'not' then return negate(parse()) end
  if operator == 'and' or operator == 'or' then
    at = at + 1
    local parts = {}
    for i = 1, tonumber(name) do parts[i] = parse() end
    return join(operator, parts)
  end
  uses(name)
  if operator == 'null' then
    at = at + 1
    return leaf(name)
  elseif operator == 'equals' then
    at = at + 2
    return leaf(name, ARGV[at - 1])
  elseif operator == 'unique' then
    local first, rows, lists = at + 2, {}, {}
    at = first + ARGV[at + 1]
    for i = first, at - 1, 4000 do
      for _, row in ipairs(call('HMGET', p .. 'u:' .. name, unpack(ARGV, i, math.min(i + 3999, at - 1)))) do
        row = tonumber(row)
        if row then
          local segment = floor(row / SEGMENT)
          local list = lists[segment] or {}
          list[#list + 1], rows[#rows + 1], lists[segment] = row % SEGMENT, row, list
        end
      end
    end
    return #rows > 0 and { 'unique', rows = rows, lists = lists } or NONE
  elseif operator == 'in' then
    local kind, first, values = byte(ARGV[at + 1]), at + 3, {}
    at = first + ARGV[at + 2]
    for i = first, at - 1 do values[#values + 1] = ARGV[i] end
    -- Of lists, decimals and floats, records may have other texts than indexes.
    return one_of(name, values, kind ~= 108 and kind ~= 100 and kind ~= 102)
  elseif operator == 'ordinals' then
    at = at + 3
    local lowest, highest = ARGV[at - 2] * 65536, ARGV[at - 1] * 65536 + 65535
    local node = one_of(name, call('ZRANGE', p .. 'v:' .. name, lowest, highest, 'BYSCORE'), true)
    if node ~= NONE then node.of, node.from, node.to = name, lowest, highest end
    return node
  end
  at = at + 6
  local key = p .. 's:' .. name
  local all = call('ZCARD', key)
  local node = { 'range', name, byte(ARGV[at - 5]), key = key, all = all, from = 0, to = all, of = name }
  if ARGV[at - 4] ~= '' then
    node.from, node.low = rank(key, ARGV[at - 4], ARGV[at - 3]), { tonumber(ARGV[at - 4]), ARGV[at - 3] }
  end
  if ARGV[at - 2] ~= '' then
    node.to, node.high = rank(key, ARGV[at - 2], ARGV[at - 1]), { tonumber(ARGV[at - 2]), ARGV[at - 1] }
  end
  if node.from >= node.to then return NONE end
  return node
end

-- Decides for each range whether its rows are listed, or those that are not in it, or each row is tested by its record.
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

-- A node without wide ranges that has all rows of this one; or, for `less`, none that this one has not.
local function approximate(node, less)
  if not node.wide then return node end
  local operator = node[1]
  if operator == 'range' then return less and NONE or negate(leaf(node[2])) end
  if operator == 'not' then return negate(approximate(node[2], not less)) end
  local parts = {}
  for i = 2, #node do parts[i - 1] = approximate(node[i], less) end
  return join(operator, parts)
end

-- A node as two: one that sets can be made of, and what its rows still have to be tested for, nil if nothing.
local function split(node)
  if not node.wide then return node, nil end
  if node[1] ~= 'and' then return approximate(node), node end
  local parts, rest = {}, {}
  for i = 2, #node do
    if node[i].wide then rest[#rest + 1] = node[i] end
    parts[i - 1] = approximate(node[i])
  end
  return join('and', parts), join('and', rest)
end

-- stage
-- The rows of a container in a segment, as a set.
local function container(node, segment)
  local number = decimal[segment]
  local key = node[2] .. number .. node[4]
  effort = effort + 2
  if call('EXISTS', key) == 1 then return key end
  local list = call('SMEMBERS', node[3] .. number .. node[4])
  if #list == 0 then return nil end
  effort = effort + #list / 4
  for i = 1, #list do list[i] = tonumber(list[i]) end
  return list
end

-- The rows of a range that is listed, as a list for each segment.
local function listed(node)
  if not node.lists then
    local lists = {}
    for _, member in ipairs(call('ZRANGE', node.key, node.from, node.to - 1)) do
      local row = row_of(member)
      local segment = floor(row / SEGMENT)
      local list = lists[segment]
      if not list then
        list = {}
        lists[segment] = list
      end
      list[#list + 1] = row - segment * SEGMENT
    end
    effort = effort + node.to - node.from
    node.lists = lists
  end
  return node.lists
end

-- The rows of a segment that match a node without wide ranges, as a set.
local evaluate

-- Rows of each segment that are known to be asked for, about.
local to_come = 0

-- Whether to evaluate a segment is cheaper than to ask so many containers for a few rows; a range that is listed has no others.
local function is_evaluated(node) return not node.wide and (node[1] == 'range' or node[1] == 'or' and #node > 4) end

-- Whether the first rows of a segment are asked for by their records rather than the segment evaluated: as many as there are values, as a record takes
-- about as long as a container (as who rents skis: see `walking_is_too_long` in plan.rs).
local function is_read(node)
  if node[1] == 'not' then node = node[2] end
  return node.values and #node > 4 and to_come < #node.values
end

-- The parts that are ANDed: first those that let the fewest rows through, as a part of the middle segment shows, last those that read the record.
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
        -- What a NOT leaves out is counted more easily than what it lets through.
        local left_out = part[1] == 'not' and part[2]
        local counted = left_out or part
        local set, members = nil, 0
        if counted[1] == 'equals' then
          local number = decimal[floor(segments / 2)]
          set = counted[2] .. number .. counted[4]
          if call('EXISTS', set) == 0 then set, members = nil, call('SCARD', counted[3] .. number .. counted[4]) end
        else
          if is_evaluated(counted) then counted.sets = counted.sets or {} end
          set = evaluate(counted, floor(segments / 2))
        end
        local weight = type(set) == 'string' and call('BITCOUNT', set, '0', '4095') or (set and #set or members) / 8
        weights[part] = left_out and math.min(handed, 32768) - weight or weight
        in_use = pinned
      end
    end
    table.sort(parts, function(x, y) return weights[x] < weights[y] end)
  end
  return parts
end

-- A function that says whether a row matches the node: cheaper than evaluating its segment for a few of its rows. It may be told the offset's
-- name as text, if that is known.
local tester
function tester(node)
  local operator = node[1]
  if operator == 'equals' then
    return tester({ 'and', node })
  elseif operator == 'range' and node.wide then
    local low, high = node.low, node.high
    return function(segment, offset)
      local score, member = standing(segment * SEGMENT + offset, node[2], node[3])
      score = tonumber(score)
      return score and not (low and earlier(score, member, low)) and (not high or earlier(score, member, high)) or false
    end
  elseif operator == 'unique' then
    local rows = lookup(node.rows)
    return function(segment, offset) return rows[segment * SEGMENT + offset] or false end
  elseif operator == 'not' then
    local inner = tester(node[2])
    return function(segment, offset) return not inner(segment, offset) end
  elseif is_evaluated(node) then
    local found, read, values = {}, {}, is_read(node) and lookup(node.values)
    node.sets = node.sets or {}
    return function(segment, offset)
      local set = found[segment]
      if set == nil then
        local n = read[segment] or 0
        if values and n < #node.values and is_read(node) then
          read[segment], effort = n + 1, effort + 3
          local id = id_in(entry_of(segment * SEGMENT + offset))
          return values[id and call('HGET', p .. 'r:' .. id, node.name) or false] or false
        end
        set = evaluate(node, segment) or false
        if type(set) == 'table' then set = lookup(set) end
        found[segment] = set
      end
      if type(set) == 'string' then return call('GETBIT', set, text('%d', offset)) == 1 end
      return set and set[offset] or false
    end
  elseif operator == 'and' or operator == 'or' then
    local decisive, parts, count = operator == 'or', (operator == 'or' or node.ranked) and parts_of(operator, node) or ranked(node), #node - 1
    for i, part in ipairs(parts) do
      parts[i] = { part, part[1] == 'equals' and {} or nil, part[1] ~= 'equals' and tester(part) or nil }
    end
    return function(segment, offset, name)
      for i = 1, count do
        local part = parts[i]
        local found, passes = part[2], nil
        if found then
          -- Containers are asked here: a function for each would take as long as asking.
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
  return function() return operator == 'all' end
end

-- The bitmaps of a node's parts if all are containers that are bitmaps there: one question instead of one for each.
local function bitmaps(node, segment)
  local keys, number = {}, decimal[segment]
  for i = 2, #node do
    local part = node[i]
    if part[1] ~= 'equals' then return nil end
    keys[i - 1] = part[2] .. number .. part[4]
  end
  if #keys < 4000 and call('EXISTS', unpack(keys)) == #keys then return keys end
end

local function intersection(node, segment)
  local lists, keys, without = {}, bitmaps(node, segment), {}
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
  if #keys == 0 then keys[1] = p .. 'live:' .. decimal[segment] end
  local own, result = #keys > 1, keys[1]
  if own then result = bitop('AND', keys) end
  for _, part in ipairs(without) do
    local set = result and evaluate(part, segment)
    if type(set) == 'table' then
      if not own then result, own = bitop('OR', { result }), true end
      effort = effort + #set / 2
      for _, offset in ipairs(set) do call('SETBIT', result, text('%d', offset), '0') end
    elseif set then
      -- a XOR (a AND b) is a without b, whatever the lengths; NOT would end at the shorter one.
      local both = bitop('AND', { result, set })
      if both then result, own = bitop('XOR', { result, both }), true end
    end
  end
  return result
end

local function union(node, segment)
  local lists, keys, count = {}, bitmaps(node, segment), 0
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
    -- The name may have served another segment before.
    result = temporary()
    call('DEL', result)
  end
  effort = effort + count
  for _, list in ipairs(lists) do
    for _, offset in ipairs(list) do call('SETBIT', result, text('%d', offset), '1') end
  end
  return result
end

function evaluate(node, segment)
  local operator, sets = node[1], node.sets
  if sets then
    -- Kept, as they are asked for again.
    if sets[segment] == nil then
      node.sets = nil
      sets[segment] = evaluate(node, segment) or false
      node.sets, pinned = sets, in_use
    end
    return sets[segment] or nil
  elseif operator == 'equals' then
    return container(node, segment)
  elseif operator == 'and' then
    return intersection(node, segment)
  elseif operator == 'or' then
    return union(node, segment)
  elseif operator == 'not' then
    return intersection({ 'and', node }, segment)
  elseif operator == 'range' then
    return listed(node)[segment]
  elseif operator == 'unique' then
    return node.lists[segment]
  elseif operator == 'all' then
    local key = p .. 'live:' .. decimal[segment]
    if call('EXISTS', key) == 1 then return key end
  end
  return nil
end

-- Runs a function, deletes the intermediate bitmaps, also when it failed, and answers what it did.
local function leave_nothing(run)
  local done, reply = pcall(run)
  for i = 1, temporaries, 4000 do
    local names = {}
    for k = i, math.min(i + 3999, temporaries) do names[#names + 1] = p .. 't:' .. k end
    call('DEL', unpack(names))
  end
  if not done then error(reply, 0) end
  return reply
end
