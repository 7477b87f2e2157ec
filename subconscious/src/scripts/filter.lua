-- filter.lua: evaluates a filter segment by segment into sets of rows. It comes after rows.lua and before the text of each
-- script that says so. KEYS, ARGV and Returns are those of that script.
--
-- A filter is in prefix form, an argument a word:
--   * all | - none | = name value | q name value (of a unique column) | 0 name (is null) | & n .. | | n .. | ! .. |
--   v name lowest highest (ordinals) | z name score member score member (at least, below; score "" for no bound)
--
-- Nothing of it reaches replicas or the append-only file, and nothing is left behind: the script that includes this
-- runs by `leave_nothing`.
redis.set_repl(redis.REPL_NONE)

local p = ARGV[1]

-- Temporary bitmaps in use, and the most there were.
local in_use, temporaries = 0, 0
local function temporary()
  -- The first write of a script must not be one that a full server refuses, or reading would need free memory.
  if temporaries == 0 then call('DEL', p .. 't:1') end
  in_use = in_use + 1
  temporaries = math.max(temporaries, in_use)
  return p .. 't:' .. in_use
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

local function row_of(member) return (struct.unpack('>I4', member, #member - 3)) end

-- The number of members of a sorted set before (score, member).
local function rank(key, score, member)
  local low = call('ZCOUNT', key, '-inf', '(' .. score)
  if member == '' then return low end
  local high = low + call('ZCOUNT', key, score, score)
  while low < high do
    local middle = floor((low + high) / 2)
    if less(call('ZRANGE', key, middle, middle)[1], member) then low = middle + 1 else high = middle end
  end
  return low
end

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

-- A function that says whether an offset is in the set.
local function member_test(set)
  if not set then return function() return false end end
  if type(set) == 'table' then
    local offsets = lookup(set)
    return function(offset) return offsets[offset] end
  end
  local asked, bytes = 0, nil
  return function(offset)
    -- Reading the bitmap costs as much as asking for some twenty bits.
    if not bytes then
      if asked < 20 then
        asked = asked + 1
        return call('GETBIT', set, offset) == 1
      end
      bytes = call('GET', set)
    end
    local value = byte(bytes, floor(offset / 8) + 1)
    return value and floor(value / 2 ^ (7 - offset % 8)) % 2 == 1
  end
end

local function keep(list, test, wanted)
  local kept = {}
  for _, offset in ipairs(list) do
    if (test(offset) or false) == wanted then kept[#kept + 1] = offset end
  end
  if #kept > 0 then return kept end
end

local function bitop(operation, sources)
  local key = temporary()
  local length = call('BITOP', operation, key, unpack(sources, 1, math.min(#sources, 4000)))
  -- `unpack` takes 7,999 values at most.
  for first = 4001, #sources, 4000 do
    length = call('BITOP', operation, key, key, unpack(sources, first, math.min(first + 3999, #sources)))
  end
  if length > 0 then return key end
end

-- Columns whose indexes are being built, as :name:name:, and the first of them that the query needs.
local building, unbuilt = nil, nil
local function uses(name)
  if building and name ~= '' and string.find(building, ':' .. name .. ':', 1, true) then unbuilt = unbuilt or name end
end

-- Parses the filter that begins at ARGV[at]. A node is { operator, .. }.
local at
local function parse()
  local operator = ARGV[at]
  at = at + 1
  if operator == '=' or operator == 'q' or operator == '0' or operator == 'v' or operator == 'z' then uses(ARGV[at]) end
  if operator == '&' or operator == '|' then
    local node = { operator }
    local parts = tonumber(ARGV[at])
    at = at + 1
    for i = 1, parts do node[i + 1] = parse() end
    return node
  elseif operator == '!' then
    return { operator, parse() }
  elseif operator == '=' then
    at = at + 2
    return { '=', ARGV[at - 2], ARGV[at - 1] }
  elseif operator == 'q' then
    at = at + 2
    local row = tonumber(call('HGET', p .. 'u:' .. ARGV[at - 2], ARGV[at - 1]) or nil)
    if not row then return { '-' } end
    return { 'q', floor(row / SEGMENT), row % SEGMENT }
  elseif operator == '0' then
    at = at + 1
    return { '=', ARGV[at - 1], false }
  elseif operator == 'v' then
    at = at + 3
    local name = ARGV[at - 3]
    local node = { '|' }
    for _, value in ipairs(call('ZRANGE', p .. 'v:' .. name, ARGV[at - 2] * 65536, ARGV[at - 1] * 65536 + 65535, 'BYSCORE')) do
      node[#node + 1] = { '=', name, value }
    end
    return node
  elseif operator == 'z' then
    at = at + 5
    local key = p .. 's:' .. ARGV[at - 5]
    local low, high = 0, nil
    if ARGV[at - 4] ~= '' then low = rank(key, ARGV[at - 4], ARGV[at - 3]) end
    if ARGV[at - 2] ~= '' then high = rank(key, ARGV[at - 2], ARGV[at - 1]) else high = call('ZCARD', key) end
    return { 'z', key, low, high, ARGV[at - 5] }
  end
  return { operator }
end

-- The rows of a range of a sorted set, by segment.
local function materialise(node)
  local sets = {}
  for first = node[3], node[4] - 1, 1000 do
    for _, member in ipairs(call('ZRANGE', node[2], first, math.min(first + 999, node[4] - 1))) do
      local row = row_of(member)
      local segment = floor(row / SEGMENT)
      local offset, set = row - segment * SEGMENT, sets[segment]
      if not set then
        set = {}
        sets[segment] = set
      end
      if type(set) == 'string' then
        call('SETBIT', set, offset, 1)
      else
        set[#set + 1] = offset
        if #set > PROMOTE then
          local key = temporary()
          for _, each in ipairs(set) do call('SETBIT', key, each, 1) end
          sets[segment] = key
        end
      end
    end
  end
  return sets
end

-- The rows of a segment that match the node, as a set.
local evaluate

local function intersection(node, segment)
  local lists, keys, without = {}, {}, {}
  for i = 2, #node do
    local part = node[i]
    if part[1] == '!' then
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
    for i = 2, #lists do list = list and keep(list, member_test(lists[i]), true) end
    for _, key in ipairs(keys) do list = list and keep(list, member_test(key), true) end
    for _, part in ipairs(without) do list = list and keep(list, member_test(evaluate(part, segment)), false) end
    return list
  end
  if #keys == 0 then keys[1] = p .. 'live:' .. segment end
  local result = #keys == 1 and keys[1] or bitop('AND', keys)
  for _, part in ipairs(without) do
    local set = result and evaluate(part, segment)
    if type(set) == 'table' then
      result = bitop('OR', { result })
      for _, offset in ipairs(set) do call('SETBIT', result, offset, 0) end
    elseif set then
      -- a XOR (a AND b) is a without b, whatever the lengths; NOT would end at the shorter one.
      local both = bitop('AND', { result, set })
      result = both and bitop('XOR', { result, both }) or result
    end
  end
  return result
end

local function union(node, segment)
  local lists, keys, listed = {}, {}, 0
  for i = 2, #node do
    local set = evaluate(node[i], segment)
    if type(set) == 'table' then
      lists[#lists + 1] = set
      listed = listed + #set
    elseif set then
      keys[#keys + 1] = set
    end
  end
  if #keys == 0 and #lists <= 1 then return lists[1] end
  if #keys == 0 and listed <= 4 * PROMOTE then
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
  local result = #keys > 0 and bitop('OR', keys) or temporary()
  -- The name may have served another segment before.
  if #keys == 0 then call('DEL', result) end
  for _, list in ipairs(lists) do
    for _, offset in ipairs(list) do call('SETBIT', result, offset, 1) end
  end
  return result
end

-- Materialises the ranges of a filter whose segments are then looked at one by one, so that what comes after
-- can be overwritten from segment to segment.
local function prepare(node)
  if node[1] == 'z' then node.sets = node.sets or materialise(node) end
  for i = 2, #node do
    if type(node[i]) == 'table' then prepare(node[i]) end
  end
end

function evaluate(node, segment)
  local operator = node[1]
  if operator == '=' then
    local rest = node[2] .. ':' .. segment
    if node[3] then rest = rest .. ':' .. node[3] end
    if call('EXISTS', p .. 'b:' .. rest) == 1 then return p .. 'b:' .. rest end
    local list = call('SMEMBERS', p .. 'i:' .. rest)
    if #list == 0 then return nil end
    for i = 1, #list do list[i] = tonumber(list[i]) end
    return list
  elseif operator == 'q' then
    if node[2] == segment then return { node[3] } end
  elseif operator == '&' then
    return intersection(node, segment)
  elseif operator == '|' then
    return union(node, segment)
  elseif operator == '!' then
    return intersection({ '&', node }, segment)
  elseif operator == 'z' then
    node.sets = node.sets or materialise(node)
    return node.sets[segment]
  elseif operator == '*' then
    local key = p .. 'live:' .. segment
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
